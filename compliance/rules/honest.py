"""Which rule of aggregation is the honest default for so many hospitals, and what to say of it.

Below five hospitals nothing is called robust: with one liar among four, no rule can tell who it is.

Source: design/federation.md §6.4 (measured on the task named there).
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from compliance.rules.methods import (
    AGGREGATORS,
    ROBUST_LEAST,
    WITHOUT_WEIGHTS,
    WITHSTANDS,
    least_sites,
)

STEERED_MOST = 2
STEERS = "Each hospital can steer the model."
LIMITS = "Limits damage; not Byzantine-robust."
TRUSTS = "Limits damage, as far as the reference cases are right; not Byzantine-robust."


class Default(NamedTuple):
    """A rule, how many updates it drops at each end, and the fewest hospitals of a round."""

    rule: str
    f: int | None
    min_sites: int


def default_rule(sites: int) -> Default:
    """What the wizard proposes for so many hospitals."""
    if sites <= STEERED_MOST:
        return Default("fedavg", None, max(sites, 1))
    if sites < ROBUST_LEAST:
        return Default("clipped_mean", None, 2)
    f = default_f(sites)
    return Default("nnm_trimmed", f, needed("nnm_trimmed", f))


def default_f(sites: int) -> int:
    """How many liars a rule should bear among so many: a fifth, at least one."""
    return max(1, sites // 5)


def needed(rule: str, f: int | None) -> int:
    """The fewest hospitals of a round that a rule can do with."""
    if rule == "fltrust":
        return 2
    return int(least_sites(rule, Decimal(f or 0))) if "f" in AGGREGATORS[rule] else 1


def needs_and_excludes(rule: str, f: int | None) -> str:
    """What a rule asks for and what cannot be had with it, in one line."""
    needs = needed(rule, f)
    parts = [] if needs == 1 else [f"needs {needs} hospitals a round"]
    if rule == "fltrust":
        parts.append("one of them brings reference cases and has no vote")
    if rule in WITHOUT_WEIGHTS:
        parts.append("each hospital counts alike, whatever its cases")
    parts.append("can be masked" if rule == "fedavg" else "cannot be masked")
    return "; ".join(parts)


def what_may_be_said(rule: str, min_sites: int, f: int | None) -> str:
    """One sentence about what a rule bears, never more than it does.

    Args:
        rule: without its server step.
        min_sites: fewest hospitals of a round.
        f: how many updates it drops at each end.
    """
    if rule == "fedavg":
        return STEERS
    if rule == "fltrust":
        return TRUSTS
    if rule not in WITHSTANDS or min_sites < ROBUST_LEAST:
        return LIMITS
    bears = (min_sites - 1) // 2 if rule == "median" else f or 0
    who = "1 hospital that lies" if bears == 1 else f"{bears} hospitals that lie"
    if rule == "nnm_trimmed":
        return f"Withstands {who}."
    return f"Withstands {who}; where hospitals differ much, mixing with the nearest bears more."
