"""Measures models on a hospital's held-out patients within one job, and remembers what it scored.

The same patients answer for the common model and for the own one, so their difference is told case
by case. A threshold that was frozen is used; one that was not may be chosen here once, on the
validation patients.

Source: design/federation.md §9.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from torch import nn

from compliance.records.measures import POINT
from compliance.records.recipe import Recipe
from site_node.training.claims import Claims
from site_node.training.datasets import Curated, Split
from site_node.training.evaluation import (
    OPERATING_POINT,
    Scored,
    gains,
    measure,
    score_patients,
)
from site_node.training.overlaps import Overlaps, leads, measure_masks, overlap_patients
from site_node.training.thresholds import chosen, point_claim

Measured: TypeAlias = tuple[str, str, Claims]
Points: TypeAlias = Mapping[str, str | None]
"""Frozen thresholds by kind of model, `` of the common one and `local.`; None: none could be."""

HELD_OUT = ("validation", "test")
COMMON = ""


@dataclass(frozen=True)
class Terms:
    """What was agreed about measuring.

    Args:
        recipe: task and classes.
        metrics: the names the charter allows; no other value is made.
        min_cell: smallest count that may leave.
        points: thresholds that are frozen already.
        choose: whether the common model was trained, so that its threshold may be chosen now.
    """

    recipe: Recipe
    metrics: Sequence[str]
    min_cell: int
    points: Points = field(default_factory=dict)
    choose: bool = False


class Measuring:
    """Measures one job's models on the splits that are held out.

    Args:
        data: the open dataset.
        terms: what was agreed.
    """

    def __init__(self, data: Curated, terms: Terms) -> None:
        self._data, self._terms = data, terms
        self._seen: dict[tuple[str, str], Scored | Overlaps] = {}
        self.chosen: dict[str, str | None] = {}

    def model(self, network: nn.Module, *, phase: str, kind: str = COMMON) -> list[Measured]:
        """Measure a model on every held-out split that has cases; only names of the charter."""
        found: list[Measured] = []
        for name in HELD_OUT:
            split = Split(self._data, name, self._terms.recipe)
            if not len(split):
                continue
            values = self._values(network, split, name, kind)
            if values:
                found.append((phase, name, values))
        return found

    def leads(self, kind: str, *, phase: str) -> list[Measured]:
        """By how much the common model leads over the own one, on the same patients."""
        found: list[Measured] = []
        for name in HELD_OUT:
            pair = self._seen.get((COMMON, name)), self._seen.get((kind, name))
            values = self._leads(*pair, kind)
            if values:
                found.append((phase, name, values))
        return found

    def _values(self, network: nn.Module, split: Split, name: str, kind: str) -> Claims:
        terms = self._terms
        agreed = {"min_cell": terms.min_cell, "names": terms.metrics, "prefix": kind}
        if terms.recipe.draws:
            drawn = overlap_patients(network, split, terms.recipe)
            self._seen[kind, name] = drawn
            return measure_masks(drawn, terms.recipe, **agreed)  # type: ignore[arg-type]  # named
        scored = score_patients(network, split, terms.recipe)
        self._seen[kind, name] = scored
        if name == "validation":
            self._choose(scored, kind)
        values = measure(scored, terms.recipe, point=self._point(kind), **agreed)  # type: ignore[arg-type]  # named
        if name == "validation" and kind + POINT in terms.metrics and self._known(kind):
            frozen = self._text(kind)
            point = None if frozen is None else Decimal(frozen)
            values[kind + POINT] = point_claim(point, scored, terms.min_cell)
        return values

    def _leads(
        self, common: Scored | Overlaps | None, own: Scored | Overlaps | None, kind: str
    ) -> Claims:
        terms = self._terms
        agreed = {"min_cell": terms.min_cell, "names": terms.metrics}
        if isinstance(common, Overlaps) and isinstance(own, Overlaps):
            return leads(common, own, terms.recipe, **agreed)  # type: ignore[arg-type]  # named
        if isinstance(common, Scored) and isinstance(own, Scored):
            points = self._point(COMMON), self._point(kind)
            return gains(common, own, terms.recipe, points=points, **agreed)  # type: ignore[arg-type]  # named
        return {}

    def _choose(self, scored: Scored, kind: str) -> None:
        """Choose a threshold where the charter has one and none is frozen; never twice."""
        ripe = self._terms.choose or kind != COMMON
        if ripe and kind + POINT in self._terms.metrics and not self._known(kind):
            point = chosen(scored, self._terms.recipe)
            self.chosen[kind] = None if point is None else str(point)

    def _known(self, kind: str) -> bool:
        return kind in self._terms.points or kind in self.chosen

    def _text(self, kind: str) -> str | None:
        points = self._terms.points if kind in self._terms.points else self.chosen
        return points.get(kind)

    def _point(self, kind: str) -> float:
        frozen = self._text(kind) if kind + POINT in self._terms.metrics else None
        return OPERATING_POINT if frozen is None else float(frozen)
