"""Shares of contribution by the rule that the charter agreed on: fractions, so all get the same.

`equal` and `cases` follow from the log alone. The Shapley rules follow from measured utilities of
coalitions, whose file is named by hash in `contribution.measured`. Its version 2 holds counts, so
that nothing is rounded before the shares are.

Source: design/federation.md §10; Shapley 1953.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial
from math import factorial
from typing import Any

from compliance.errors import Malformed

MILLION = 10**6
FROM_THE_LOG = frozenset({"equal", "cases"})
MOST_SITES = 16
VERSION = 2
TWO = 2
DIGITS = 40
PLACES = Decimal("0.000001")
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


def sampled(
    sites: Sequence[str], orders: Sequence[Sequence[int]], utility: Mapping[int, Fraction]
) -> list[dict[str, Fraction]]:
    """What each hospital adds when it joins, order by order; the mean is an estimate.

    Args:
        sites: sorted; bit i of a coalition stands for `sites[i]`.
        orders: places in `sites`, each once.
        utility: of every coalition that stands at the beginning of an order, the empty one too.

    Raises:
        Malformed: a coalition is missing, or an order is none.
    """
    found = []
    for order in orders:
        if sorted(order) != list(range(len(sites))):
            raise Malformed("contribution inputs", "an order does not name every hospital once")
        coalition, row = 0, {}
        for place in order:
            joined = coalition | 1 << place
            if not {coalition, joined} <= set(utility):
                raise Malformed("contribution inputs", "a coalition is missing or unknown")
            row[sites[place]] = utility[joined] - utility[coalition]
            coalition = joined
        found.append(row)
    return found


@dataclass(frozen=True)
class Valued:
    """One hospital's value over the seeds.

    Args:
        mean: over the seeds, exact.
        deviation: standard deviation over the seeds; None with a single one.
        error: standard error of the mean; for sampled orders that of the sample is in it.
        seeds: how many.
    """

    mean: Fraction
    deviation: Decimal | None
    error: Decimal | None
    seeds: int

    @property
    def interval(self) -> tuple[Decimal, Decimal] | None:
        """95 % interval by Student's t over the seeds, six places; None with a single seed."""
        if self.error is None:
            return None
        half = T_975[min(self.seeds - 1, len(T_975)) - 1] * self.error
        return tuple(_short(_decimal(self.mean) + side * half) for side in (-1, 1))  # type: ignore[return-value]  # two sides


T_975 = tuple(Decimal(text) for text in (
    "12.7062", "4.3027", "3.1824", "2.7764", "2.5706", "2.4469", "2.3646", "2.3060", "2.2622",
    "2.2281", "2.2010", "2.1788", "2.1604", "2.1448", "2.1314", "2.1199", "2.1098", "2.1009",
    "2.0930",
))  # fmt: skip
"""97.5 % quantiles of Student's t with 1 to 19 degrees of freedom (NIST handbook, 1.3.6.7.2)."""


def by_inputs(inputs: Any, floor: Fraction = Fraction(0)) -> dict[str, Fraction]:
    """Shares from measured utilities: mean Shapley value over the seeds, then the agreed split.

    Args:
        inputs: as `inputs_of` makes them, or version 1: `{"v": 1, "sites": [...], "seeds":
            {"<seed>": {"<hex coalition>": "<decimal>"}}}`.
        floor: least share of each hospital, 0 to 1/n.

    Raises:
        Malformed: another form.
    """
    return split({site: row.mean for site, row in valued(inputs).items()}, floor)


def valued(inputs: Any) -> dict[str, Valued]:
    """Each hospital's Shapley value over the seeds of the inputs.

    Raises:
        Malformed: another form, or a coalition is missing.
    """
    sites, seeds, orders = read_inputs(inputs)
    if not orders:
        rows = [shapley(sites, row) for row in seeds]
        return {site: _over([row[site] for row in rows]) for site in sites}
    steps = [sampled(sites, orders, row) for row in seeds]
    found = {}
    for site in sites:
        by_seed = [mean_of([row[site] for row in rows]) for rows in steps]
        by_order = [mean_of([rows[at][site] for rows in steps]) for at in range(len(orders))]
        found[site] = _over(by_seed, by_order)
    return found


def _over(by_seed: Sequence[Fraction], by_order: Sequence[Fraction] = ()) -> Valued:
    if len(by_seed) < TWO:
        return Valued(mean_of(by_seed), None, None, len(by_seed))
    variance = _variance(by_seed)
    error = variance / len(by_seed)
    if by_order:
        error += _variance(by_order) / len(by_order)
    return Valued(mean_of(by_seed), _root(variance), _root(error), len(by_seed))


def mean_of(values: Sequence[Fraction]) -> Fraction:
    """The mean, exact."""
    return sum(values, Fraction(0)) / len(values)


def _variance(values: Sequence[Fraction]) -> Fraction:
    middle = mean_of(values)
    squares = sum(((value - middle) ** 2 for value in values), Fraction(0))
    return squares / (len(values) - 1)


def _decimal(value: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = DIGITS
        return Decimal(value.numerator) / Decimal(value.denominator)


def _root(value: Fraction) -> Decimal:
    with localcontext() as context:
        context.prec = DIGITS
        return (Decimal(value.numerator) / Decimal(value.denominator)).sqrt()


def _short(value: Decimal) -> Decimal:
    short = value.quantize(PLACES)
    return short if short else Decimal(0).quantize(PLACES)


def short(value: Fraction | Decimal | None) -> str:
    """A value with six places; empty for none."""
    if value is None:
        return ""
    return format(_short(value if isinstance(value, Decimal) else _decimal(value)), "f")


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


Read = tuple[list[str], list[dict[int, Fraction]], list[list[int]]]


def read_inputs(inputs: Any) -> Read:
    """Read inputs of either version: hospitals, utilities by seed, sampled orders.

    Raises:
        Malformed: another form, or no seed.
    """
    try:
        if inputs["v"] == 1 and set(inputs) == {"v", "sites", "seeds"}:
            read, orders = _utilities, []
        elif inputs["v"] == VERSION and set(inputs) == _KEYS:
            read = partial(_counted, pooled=inputs["pooled"])
            orders = [[int(place) for place in order] for order in inputs["orders"]]
        else:
            raise ValueError
        sites = [str(site) for site in inputs["sites"]]
        if sites != sorted(set(sites)) or not 1 <= len(sites) <= MOST_SITES:
            raise ValueError
        seeds = [read(row) for _, row in sorted(inputs["seeds"].items())]
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError):
        raise Malformed("contribution inputs", "they do not have the agreed form") from None
    if not seeds:
        raise Malformed("contribution inputs", "no seed was measured")
    return sites, seeds, orders


_KEYS = frozenset({"v", "rule", "pooled", "sites", "orders", "seeds"})


def _utilities(row: Any) -> dict[int, Fraction]:
    found = {}
    for coalition, value in row.items():
        if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
            raise ValueError
        found[int(coalition, 16)] = Fraction(value)
    return found


def _counted(row: Any, *, pooled: bool) -> dict[int, Fraction]:
    """Utilities from counts: mean of the hospitals' own shares, or of all cases together."""
    found = {}
    for coalition, by_site in row.items():
        told = [_share(*value) for _, value in sorted(by_site.items()) if value[0] is not None]
        if pooled:
            whole = sum(n for n, _ in told)
            found[int(coalition, 16)] = sum((n * part for n, part in told), Fraction(0)) / whole
        else:
            found[int(coalition, 16)] = mean_of([part for _, part in told])
    return found


def _share(n: int, correct: int | None, value: str | None) -> tuple[int, Fraction]:
    """Cases and the share of them that a model got right; a value only where counts are few."""
    if correct is not None:
        return n, Fraction(int(correct), n)
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise ValueError
    return n, Fraction(value)
