"""Shares of contribution by the rule that the charter agreed on: fractions, so all get the same.

`equal` and `cases` follow from the log alone. The Shapley rules follow from measured utilities of
coalitions, whose file is named by hash in `contribution.measured`.

Source: design/federation.md §10; Shapley 1953.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import factorial
from typing import Any

from compliance.errors import Malformed

MILLION = 10**6
FROM_THE_LOG = frozenset({"equal", "cases"})
MOST_SITES = 16
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,11})(\.\d{1,12})?")


def by_round(rule: str, rounds: Sequence[Mapping[str, int]]) -> dict[str, Fraction]:
    """Shares by `equal` or `cases`: the mean over rounds of each hospital's part of the round.

    Args:
        rule: `equal` or `cases`.
        rounds: for each closed round the examples of every hospital whose update was used.
    """
    total: dict[str, Fraction] = {}
    for used in rounds:
        parts = {site: 1 if rule == "equal" else n for site, n in used.items()}
        whole = sum(parts.values())
        for site, part in parts.items():
            total[site] = total.get(site, Fraction(0)) + Fraction(part, whole or 1)
    return {site: value / len(rounds) for site, value in total.items()}


def shapley(sites: Sequence[str], utility: Mapping[int, Fraction]) -> dict[str, Fraction]:
    """Exact Shapley values.

    Args:
        sites: sorted; bit i of a coalition stands for `sites[i]`.
        utility: of every coalition but the empty one, whose utility is the given `0` or nothing.

    Raises:
        Malformed: a coalition is missing.
    """
    count = len(sites)
    if set(utility) | {0} != set(range(1 << count)):
        raise Malformed("contribution inputs", "a coalition is missing or unknown")
    values = {}
    for place, site in enumerate(sites):
        total = Fraction(0)
        for coalition in range(1 << count):
            if coalition >> place & 1:
                size = coalition.bit_count()
                weight = Fraction(factorial(size - 1) * factorial(count - size), factorial(count))
                before = utility.get(coalition ^ (1 << place), Fraction(0))
                total += weight * (utility[coalition] - before)
        values[site] = total
    return values


def by_inputs(inputs: Any, floor: Fraction = Fraction(0)) -> dict[str, Fraction]:
    """Shares from measured utilities: mean Shapley value over the seeds, then the agreed split.

    Args:
        inputs: `{"v": 1, "sites": [...], "seeds": {"<seed>": {"<hex coalition>": "<decimal>"}}}`.
        floor: least share of each hospital, 0 to 1/n.

    Raises:
        Malformed: another form.
    """
    sites, seeds = _checked(inputs)
    values = [shapley(sites, row) for row in seeds]
    mean = {site: sum((row[site] for row in values), Fraction(0)) / len(values) for site in sites}
    return split(mean, floor)


def split(values: Mapping[str, Fraction], floor: Fraction = Fraction(0)) -> dict[str, Fraction]:
    """Turn values into shares: floor + (1 - n·floor)·max(value, 0)/sum; none positive: equal."""
    count = len(values)
    floor = min(floor, Fraction(1, count))
    positive = {site: max(value, Fraction(0)) for site, value in values.items()}
    whole = sum(positive.values(), Fraction(0))
    if not whole:
        return {site: Fraction(1, count) for site in values}
    rest = 1 - count * floor
    return {site: floor + rest * value / whole for site, value in positive.items()}


def rounded(shares: Mapping[str, Fraction]) -> dict[str, str]:
    """Millionths by largest remainder, so that the shares add up to one exactly."""
    if not shares:
        return {}
    exact = {site: value * MILLION for site, value in sorted(shares.items())}
    whole = {site: int(value) for site, value in exact.items()}
    left = MILLION - sum(whole.values())
    order = sorted(exact, key=lambda site: (whole[site] - exact[site], site))
    for site in order[:left]:
        whole[site] += 1
    return {site: f"{n // MILLION}.{n % MILLION:06d}" for site, n in whole.items()}


def _checked(inputs: Any) -> tuple[list[str], list[dict[int, Fraction]]]:
    try:
        if set(inputs) != {"v", "sites", "seeds"} or inputs["v"] != 1:
            raise ValueError
        sites = [str(site) for site in inputs["sites"]]
        if sites != sorted(set(sites)) or not 1 <= len(sites) <= MOST_SITES:
            raise ValueError
        seeds = [_utilities(row) for _, row in sorted(inputs["seeds"].items())]
    except (AttributeError, KeyError, TypeError, ValueError):
        raise Malformed("contribution inputs", "they do not have the agreed form") from None
    if not seeds:
        raise Malformed("contribution inputs", "no seed was measured")
    return sites, seeds


def _utilities(row: Any) -> dict[int, Fraction]:
    found = {}
    for coalition, value in row.items():
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise ValueError
        found[int(coalition, 16)] = Fraction(value)
    return found
