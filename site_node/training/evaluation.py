"""How good a model is on a hospital's held-out patients, in numbers that may be shown.

The unit is the patient: the mean score over the images. Every value carries its interval, n and
positives; a number that rests on too few is null and stays null. The operating point is the frozen
threshold where the charter has one, else 0.5 (the losses are balanced); for several classes the
highest score.

Source: design/federation.md §9, design/dashboard.md §6.3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compliance.records.measures import BINS, GAIN, GAINED, RATED, Part, part_of
from compliance.records.recipe import Recipe
from site_node.training import calibration
from site_node.training.claims import NOTHING, Claim, Claims, written
from site_node.training.datasets import Split
from site_node.training.statistics import (
    Doubles,
    Estimate,
    Flags,
    Influences,
    auroc_influences,
    interval,
    lead,
    mean_of,
    proportion,
    share_influences,
)

OPERATING_POINT = 0.5
FEWEST_FOR_AUROC = 10


@dataclass(frozen=True)
class Scored:
    """Patients with their scores in [0, 1] and labels, both (n, outputs).

    `groups` has a word for each patient by dimension (`sex`, `age`, `scanner`), empty if unknown.
    """

    scores: Doubles
    labels: Flags
    groups: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.scores)

    def of(self, part: Part) -> Scored:
        """The patients of one group."""
        words = self.groups.get(part.family, np.full(len(self), ""))
        return Scored(self.scores[words == part.word], self.labels[words == part.word])


def score_patients(network: nn.Module, split: Split, recipe: Recipe) -> Scored:
    """Score every patient of a split: mean over the images.

    A patient is positive for a label when any image is; for exclusive classes the most frequent
    one counts, of equals the later.

    Returns:
        Patients in the order of their pseudonyms, without the pseudonyms.
    """
    scores, labels = _score_images(network, split, recipe)
    names, places = np.unique(np.asarray(split.patients(), dtype=str), return_inverse=True)
    images = np.bincount(places, minlength=len(names)).astype(np.float64)
    shape = (len(names), recipe.outputs)
    summed, votes = np.zeros(shape), np.zeros(shape)
    np.add.at(summed, places, scores)
    np.add.at(votes, places, labels)
    groups = by_patient(split.groups(), places, len(names))
    if recipe.task == "multiclass" and len(names):
        later = votes + np.arange(recipe.outputs) * 1e-6
        return Scored(summed / images[:, None], later == later.max(axis=1, keepdims=True), groups)
    return Scored(summed / np.maximum(images, 1)[:, None], votes > 0, groups)


def by_patient(
    groups: Mapping[str, NDArray[np.str_]], places: NDArray[np.intp], count: int
) -> dict[str, NDArray[np.str_]]:
    """The word of each patient: that of all his images, or none where they differ.

    Args:
        groups: by dimension the word of each image.
        places: the patient of each image.
        count: how many patients.
    """
    found = {}
    for family, words in groups.items():
        first = np.full(count, "", words.dtype)
        first[places] = words
        torn = np.zeros(count, np.bool_)
        np.logical_or.at(torn, places, words != first[places])
        found[family] = np.where(torn, "", first)
    return found


def _score_images(
    network: nn.Module, split: Split, recipe: Recipe
) -> tuple[Doubles, NDArray[np.float64]]:
    network.eval()
    scores, labels = [np.zeros((0, recipe.outputs))], [np.zeros((0, recipe.outputs))]
    with torch.no_grad():
        for images, wanted in split.batches():
            logits = network(images).to(torch.float64)
            chance = logits.softmax(dim=1) if recipe.task == "multiclass" else logits.sigmoid()
            scores.append(chance.numpy())
            labels.append(wanted.numpy().astype(np.float64))
    return np.concatenate(scores), np.concatenate(labels)


def measure(
    scored: Scored,
    recipe: Recipe,
    *,
    min_cell: int,
    names: Collection[str],
    prefix: str = "",
    point: float = OPERATING_POINT,
) -> Claims:
    """Return the agreed values of one model on one split.

    Args:
        scored: patients with scores and labels.
        recipe: task and classes.
        min_cell: smallest count that may be shown; below it all of a value is null.
        names: the names the charter allows; no other value is made.
        prefix: `local.` for a hospital's own model.
        point: from which score on a case of two classes counts as positive.

    Returns:
        name to {value, low, high: Decimal with six places or null, n, positives}.
    """
    wanted = [name for name in _names(recipe) if prefix + name in names]
    if not np.isfinite(scored.scores).all():
        return {prefix + name: dict(NOTHING) for name in wanted}
    judge = _Judge(scored, recipe, min_cell, point)
    found = {prefix + name: judge.claim(name) for name in wanted}
    for name in sorted(names):
        part = part_of(name)
        measured = part and part.measure.removeprefix(prefix)
        if part and part.measure == f"{prefix}{measured}" and measured in RATED:
            group = _Judge(scored.of(part), recipe, min_cell, point)
            found[name] = group.claim(measured)
    if recipe.task == "binary" and not prefix and any(name in names for name in BINS):
        bins = calibration.bin_claims(scored.scores[:, 0], scored.labels[:, 0], min_cell)
        found |= {name: claim for name, claim in bins.items() if name in names}
    return found


def gains(
    common: Scored,
    own: Scored,
    recipe: Recipe,
    *,
    min_cell: int,
    names: Collection[str],
    points: tuple[float, float],
) -> Claims:
    """Return by how much the common model leads over the own one, on the same patients.

    Args:
        common: as the common model scored them.
        own: as the own model scored the same patients, in the same order.
        recipe: task and classes.
        min_cell: smallest count that may be shown.
        names: the names the charter allows.
        points: operating point of each.

    Returns:
        `gain.auroc` and `gain.accuracy` as `measure` returns values, in [-1, 1].
    """
    one = _Judge(common, recipe, min_cell, points[0])
    other = _Judge(own, recipe, min_cell, points[1])
    wanted = [name for name in GAINED if name in RATED and GAIN + name in names]
    return {GAIN + name: one.lead_over(other, name) for name in wanted}


def decided(scored: Scored, recipe: Recipe) -> Flags:
    """Which patients a model got right in every label, (n,)."""
    said = _decide(scored.scores, OPERATING_POINT, exclusive=recipe.task == "multiclass")
    right: Flags = (said == scored.labels).all(axis=1)
    return right


def _names(recipe: Recipe) -> list[str]:
    if recipe.task == "binary":
        return [*RATED, *calibration.VALUES]
    return [*RATED, *(f"{name}.{label}" for name in RATED for label in recipe.classes)]


class _Judge:
    """Answers for one value at a time; knows how many cases stand behind each label."""

    def __init__(self, scored: Scored, recipe: Recipe, min_cell: int, point: float) -> None:
        self._scored, self._min_cell, self._seed = scored, min_cell, recipe.seed
        self._columns = {label: place for place, label in enumerate(recipe.classes)}
        if recipe.task == "binary":
            self._columns = {"": 0}
        exclusive = recipe.task == "multiclass"
        self._said = _decide(scored.scores, point, exclusive=exclusive)

    def claim(self, name: str) -> Claim:
        """Return the value called `auroc`, `accuracy.pneumonia` and the like."""
        kind, _, label = name.partition(".")
        if len(self._scored) < max(1, self._min_cell):
            return dict(NOTHING)
        columns = [self._columns[label]] if label else list(self._columns.values())
        if len(columns) > 1 and kind == "accuracy":
            right = int((self._said == self._scored.labels).all(axis=1).sum())
            return self._written(proportion(right, len(self._scored)), None)
        if min(self._sides(column) for column in columns) < max(1, self._min_cell):
            return dict(NOTHING)
        if len(columns) > 1:
            return self._written(self._mean(kind, columns), None)
        return self._written(self._single(kind, columns[0]), columns[0])

    def lead_over(self, other: _Judge, kind: str) -> Claim:
        """Return by how much a value is above that of another model on the same patients."""
        columns, smallest = list(self._columns.values()), self._smallest()
        if smallest < max(1, self._min_cell):
            return dict(NOTHING)
        found = None
        if kind == "accuracy":
            found = lead(self._right(), other._right(), smallest)
        elif smallest >= FEWEST_FOR_AUROC:
            one, two = (
                mean_of([judge._influences(kind, column) for column in columns])
                for judge in (self, other)
            )
            found = lead(one, two, smallest)
        return self._written(found, columns[0] if len(columns) == 1 else None)

    def _right(self) -> Influences:
        right = (self._said == self._scored.labels).all(axis=1)
        return share_influences(right, np.ones_like(right))

    def _smallest(self) -> int:
        return min((self._sides(column) for column in self._columns.values()), default=0)

    def _sides(self, column: int) -> int:
        positives = int(self._scored.labels[:, column].sum())
        return min(positives, len(self._scored) - positives)

    def _single(self, kind: str, column: int) -> Estimate | None:
        truth, said = self._scored.labels[:, column], self._said[:, column]
        if kind == "auroc":
            return self._mean(kind, [column])
        if kind in calibration.VALUES:
            return calibration.value_of(kind, self._scored.scores[:, column], truth, self._seed)
        among = {"sensitivity": truth, "specificity": ~truth}.get(kind, np.ones_like(truth))
        return proportion(int(((said == truth) & among).sum()), int(among.sum()))

    def _mean(self, kind: str, columns: list[int]) -> Estimate | None:
        smallest = min(self._sides(column) for column in columns)
        if kind == "auroc" and smallest < FEWEST_FOR_AUROC:
            return None
        return interval(mean_of([self._influences(kind, c) for c in columns]), smallest)

    def _influences(self, kind: str, column: int) -> Influences:
        truth, said = self._scored.labels[:, column], self._said[:, column]
        ways: dict[str, Callable[[], Influences]] = {
            "auroc": lambda: auroc_influences(self._scored.scores[:, column], truth),
            "sensitivity": lambda: share_influences(said, truth),
            "specificity": lambda: share_influences(~said, ~truth),
        }
        return ways[kind]()

    def _written(self, found: Estimate | None, column: int | None) -> Claim:
        positives = None if column is None else int(self._scored.labels[:, column].sum())
        return written(found, len(self._scored), positives)


def _decide(scores: Doubles, point: float, *, exclusive: bool) -> Flags:
    if not exclusive:
        return scores >= point
    said = np.zeros(scores.shape, dtype=np.bool_)
    if len(scores):
        said[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return said
