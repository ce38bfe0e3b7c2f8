"""Whether what a model sees here has moved away from what it was trained on here.

Two population stability indices against the registered version of the dataset: of the classes that
the model gives, and of 16 bins of brightness. Nothing of it leaves by itself.

Source: design/federation.md §9; population stability index, 0.25 as in credit scoring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from compliance.records.measures import MOVED
from site_node.gate.measures import MetricClaim

DRIFT = "quality.drift"
FLAGGED = 0.25
FEWEST = 50
"""Fewer images say nothing: chance alone moves the index of 16 bins above 0.25."""

PRIOR = 0.5
BEFORE = "before_training"


@dataclass(frozen=True)
class Moved:
    """How far two histograms lie apart.

    Args:
        index: None where one side has too few images to say.
        flagged: whether a person must look.
    """

    index: float | None
    flagged: bool

    def plain(self) -> dict[str, Any]:
        """For people and machines."""
        index = None if self.index is None else round(self.index, 3)
        return {"index": index, "flagged": self.flagged}


UNSAID = Moved(None, flagged=False)


def stability(expected: Sequence[float], found: Sequence[float]) -> float:
    """The index of two histograms over the same bins, in counts; 0 for equal shapes.

    Half a case is added to every bin, so that an empty one does not make it infinite.
    """
    before, after = _shares(expected), _shares(found)
    return sum((b - a) * math.log(b / a) for a, b in zip(before, after, strict=True))


def _shares(counts: Sequence[float]) -> list[float]:
    total = sum(counts) + PRIOR * len(counts)
    return [(count + PRIOR) / total for count in counts]


def labels_moved(expected: dict[str, int], found: dict[str, int], images: tuple[int, int]) -> Moved:
    """Compare the balance of classes.

    Args:
        expected: images by class in the registered version.
        found: predictions by class.
        images: how many images stand behind each.
    """
    names = sorted({*expected, *found})
    if min(images) < FEWEST:
        return UNSAID
    return _judged([expected.get(n, 0) for n in names], [found.get(n, 0) for n in names])


def light_moved(expected: Sequence[int], found: Sequence[int], images: tuple[int, int]) -> Moved:
    """Compare brightness: summed shares of bins, in millionths, and how many images gave them."""
    if min(images) < FEWEST:
        return UNSAID
    return _judged([n / 1e6 for n in expected], [n / 1e6 for n in found])


def data_moved(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Moved]:
    """Compare two versions of a dataset, each as `training.profiles` tells it.

    Returns:
        The balance of classes, and brightness unless it is a table.
    """
    images = before["images"], now["images"]
    found = {MOVED[0]: labels_moved(before["labels"], now["labels"], images)}
    if before["bins"] and now["bins"]:
        found[MOVED[1]] = light_moved(before["bins"], now["bins"], images)
    return found


def with_drift(
    claims: Sequence[MetricClaim], moved: dict[str, Moved], patients: int
) -> list[MetricClaim]:
    """Add to what was measured of the incoming model how far the data have moved.

    Args:
        claims: what was measured, the incoming model's before anything of the own one.
        moved: both indices; one that cannot be told is left out.
        patients: how many the dataset has.
    """
    nothing = {"low": None, "high": None, "n": patients, "positives": None}
    told = {
        name: {**nothing, "value": Decimal(f"{found.index:.3f}")}
        for name, found in moved.items()
        if found.index is not None
    }
    here = max((k for k, claim in enumerate(claims) if claim.phase == BEFORE), default=None)
    if here is None or not told:
        return list(claims)
    added = replace(claims[here], values={**claims[here].values, **told})
    return [*claims[:here], added, *claims[here + 1 :]]


def _judged(expected: Sequence[float], found: Sequence[float]) -> Moved:
    index = stability(expected, found)
    return Moved(index, flagged=index > FLAGGED)
