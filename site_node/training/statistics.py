"""Measured values with their 95 % intervals: DeLong for the AUROC, Wilson for proportions.

Whatever else is measured gets the percentiles of 1,000 draws of patients.

A class's AUROC carries one influence per case, so the mean over classes gets its interval from
the same cases without pretending that the classes are independent.

Source: DeLong et al. 1988 in the midrank form of Sun & Xu 2014; Wilson 1927; Efron 1979.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Z95 = 1.959963984540054
DRAWS, AT_ONCE = 1000, 50
ENDS = (2.5, 97.5)

Doubles: TypeAlias = NDArray[np.float64]
Flags: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Estimate:
    """A value with the ends of its 95 % interval: a share in [0, 1], or what its maker says."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Influences:
    """A value and what each case contributes to its spread; sd² is the sum of their squares."""

    value: float
    cases: Doubles


def proportion(hits: int, total: int) -> Estimate:
    """Return a share with Wilson's interval; total ≥ 1."""
    share, z2 = hits / total, Z95 * Z95
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    spread = share * (1 - share) / total + z2 / (4 * total * total)
    half = Z95 * math.sqrt(spread) / (1 + z2 / total)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def auroc_influences(scores: Doubles, positive: Flags) -> Influences:
    """Return the area under the ROC curve with DeLong's structural components.

    Args:
        scores: one per case, higher means positive; ties count half.
        positive: same shape; at least two cases on each side.
    """
    ranks = _midranks(scores)
    m, n = int(positive.sum()), int((~positive).sum())
    above = (ranks[positive] - _midranks(scores[positive])) / n
    below = 1 - (ranks[~positive] - _midranks(scores[~positive])) / m
    area = float(above.mean())
    cases = np.empty(len(scores))
    cases[positive] = (above - area) / math.sqrt(m * (m - 1))
    cases[~positive] = (below - area) / math.sqrt(n * (n - 1))
    return Influences(area, cases)


def share_influences(hits: Flags, among: Flags) -> Influences:
    """Return the share of hits among some of the cases, with each case's influence."""
    count = int(among.sum())
    share = float((hits & among).sum() / count)
    return Influences(share, np.where(among, (hits - share) / count, 0.0))


def mean_of(parts: list[Influences]) -> Influences:
    """Return the plain mean over classes; the influences of one case add up."""
    cases: Doubles = np.mean(np.stack([part.cases for part in parts]), axis=0)
    return Influences(float(np.mean([part.value for part in parts])), cases)


def interval(found: Influences, smallest: int) -> Estimate:
    """Return value ± 1.96 sd, within [0, 1].

    Args:
        found: the value and its influences.
        smallest: cases of the smallest class. Where the spread is zero (perfect order) it bounds
            the interval as Wilson would: "1.00 to 1.00" from twelve cases would be a lie.
    """
    spread = Z95 * math.sqrt(float(np.square(found.cases).sum()))
    if spread == 0:
        bound = proportion(round(found.value * smallest), smallest)
        return Estimate(found.value, min(bound.low, found.value), max(bound.high, found.value))
    return Estimate(found.value, max(0.0, found.value - spread), min(1.0, found.value + spread))


def lead(one: Influences, other: Influences, smallest: int) -> Estimate:
    """Return one value less another of the same cases, in [-1, 1], with its paired interval.

    Cases that both models judge alike add nothing to the spread: two intervals side by side would
    hide a difference that is clear (DeLong 1988 for the AUROC; for shares the same arithmetic).

    Args:
        one: of the first model, its influences case by case.
        other: of the second model, on the same cases in the same order.
        smallest: cases of the smallest class. Where the models agree in every case the spread is
            zero; the ends are then those of a share of none of them.
    """
    value = one.value - other.value
    spread = Z95 * math.sqrt(float(np.square(one.cases - other.cases).sum()))
    spread = spread or proportion(0, smallest).high
    return Estimate(value, max(-1.0, value - spread), min(1.0, value + spread))


def resampled(parts: Doubles, seed: int, total: Callable[[Doubles], Doubles]) -> Estimate:
    """Return a value made of means over patients, with percentiles of 1,000 draws of patients.

    Args:
        parts: (n, K), n ≥ 1: what each patient adds to each of K means.
        seed: of the draws; the same seed gives the same ends.
        total: from means (D, K) to values (D,).
    """
    n = len(parts)
    random = np.random.default_rng(seed)
    drawn = [
        random.multinomial(n, np.full(n, 1 / n), AT_ONCE) @ parts / n
        for _ in range(DRAWS // AT_ONCE)
    ]
    value = float(total(parts.mean(axis=0)[None, :])[0])
    low, high = (float(end) for end in np.percentile(total(np.concatenate(drawn)), ENDS))
    return Estimate(value, min(low, value), max(high, value))


def _midranks(values: Doubles) -> Doubles:
    """Return ranks from 1; equal values share the middle of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: Doubles = last - (counts - 1) / 2
    return middle[places]
