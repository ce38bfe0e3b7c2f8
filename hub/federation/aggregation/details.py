"""A round's scalars as they go on record, and back to what a rule computes by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from compliance.errors import NotProven
from compliance.records.details import RoundDetails
from hub.federation.aggregation.aggregator import Outcome
from hub.federation.aggregation.rule import Plan, Votes

TOLERANCE = 1e-9
"""How near an auditor's own scalars must come, relative to the largest of their list."""


def details_of(
    number: int,
    outcome: Outcome,
    reference: str | None = None,
    before: str | None = None,
    after: str | None = None,
) -> dict[str, Any]:
    """The details of a round as plain values, for sealing.

    Args:
        number: of the round.
        outcome: of its aggregation.
        reference: the reference site.
        before: SHA-256 of the server step's state that the round began with.
        after: and of the one that it left.
    """
    plan = outcome.plan
    return RoundDetails(
        round=number,
        sites=list(outcome.votes.sites),
        n=list(outcome.votes.examples),
        reference=reference,
        reference_norm=_one(plan.reference_norm),
        norms=_all(plan.norms),
        cosines=_all(plan.cosines),
        distances=_all(plan.distances),
        factors=_all(plan.factors),
        total=_one(plan.total),
        neighbours=[format(mask, "x") for mask in plan.neighbours],
        state_before=before,
        state_after=after,
    ).plain()


def plan_of(said: RoundDetails, weights: Mapping[str, Decimal]) -> Plan:
    """The plan that stands on record, bit for bit.

    Args:
        said: the round's details.
        weights: shares as `round.closed` says them.
    """
    return Plan(
        weights={site: weights[site] for site in said.sites if site in weights},
        factors=_read(said.factors),
        total=None if said.total is None else float.fromhex(said.total),
        norms=_read(said.norms),
        reference_norm=None if said.reference_norm is None else float.fromhex(said.reference_norm),
        cosines=_read(said.cosines),
        distances=_read(said.distances),
        neighbours=tuple(int(mask, 16) for mask in said.neighbours),
    )


def compare(said: Plan, own: Plan) -> None:
    """Hold the scalars on record against one's own.

    Raises:
        NotProven: one is farther away than 10⁻⁹, or a neighbour was chosen that is not nearer.
    """
    for name in ("factors", "norms", "cosines", "distances"):
        _near(name, getattr(said, name), getattr(own, name))
    for name in ("total", "reference_norm"):
        one, other = getattr(said, name), getattr(own, name)
        _near(name, [] if one is None else [one], [] if other is None else [other])
    if said.weights != own.weights:
        raise NotProven("recompute", "the weights on record do not follow from the updates")
    if said.neighbours != own.neighbours:
        _tied(said, own)


def check_votes(said: RoundDetails, votes: Votes) -> None:
    """Hold the sites and examples on record against the log's.

    Raises:
        NotProven: they differ.
    """
    if (tuple(said.sites), tuple(said.n)) != (votes.sites, votes.examples):
        raise NotProven("recompute", "the sites or examples on record are not those of the log")


def _tied(said: Plan, own: Plan) -> None:
    """Take other neighbours only where they are as near: rounding decides between equals."""
    sites = len(own.neighbours)
    if len(said.neighbours) != sites:
        raise NotProven("recompute", "neighbours on record are missing")
    pairs = [(i, j) for i in range(sites) for j in range(i + 1, sites)]
    between = dict(zip(pairs, own.distances, strict=True))
    for one, (theirs, ours) in enumerate(zip(said.neighbours, own.neighbours, strict=True)):
        far = {other: between.get((min(one, other), max(one, other)), 0.0)
               for other in range(sites)}  # fmt: skip
        chosen, nearer = (
            sorted(far[other] for other in range(sites) if mask >> other & 1)
            for mask in (theirs, ours)
        )
        _near("neighbours", chosen, nearer, max(own.distances))


def _near(
    name: str, said: Sequence[float], own: Sequence[float], largest: float | None = None
) -> None:
    scale = max((abs(value) for value in own), default=0.0) if largest is None else largest
    wrong = len(said) != len(own) or any(
        not abs(one - other) <= TOLERANCE * scale for one, other in zip(said, own, strict=True)
    )
    if wrong:
        raise NotProven("recompute", f"{name} on record do not follow from the updates")


def _one(value: float | None) -> str | None:
    return None if value is None else value.hex()


def _all(values: Sequence[float]) -> list[str]:
    return [value.hex() for value in values]


def _read(values: Sequence[str]) -> tuple[float, ...]:
    return tuple(float.fromhex(value) for value in values)
