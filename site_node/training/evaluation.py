"""How good a model is on a hospital's held-out patients, in numbers that may be shown.

The unit is the patient: the mean score over the images. Every value carries its interval, n and
positives; a number that rests on too few is null and stays null. The operating point is 0.5 (the
losses are balanced), for several classes the highest score.

Source: design/federation.md §9, design/dashboard.md §6.3.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compliance.records.recipe import Recipe
from site_node.training.datasets import Split
from site_node.training.statistics import (
    Doubles,
    Estimate,
    Flags,
    Influences,
    auroc_influences,
    interval,
    mean_of,
    proportion,
    share_influences,
)

Claim: TypeAlias = dict[str, Decimal | int | None]
Claims: TypeAlias = dict[str, Claim]

OPERATING_POINT = 0.5
FEWEST_FOR_AUROC = 10
NOTHING: Claim = {"value": None, "low": None, "high": None, "n": None, "positives": None}
_SIX_PLACES = Decimal("0.000001")


@dataclass(frozen=True)
class Scored:
    """Patients with their scores in [0, 1] and labels, both (n, outputs)."""

    scores: Doubles
    labels: Flags

    def __len__(self) -> int:
        return len(self.scores)


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
    if recipe.task == "multiclass" and len(names):
        later = votes + np.arange(recipe.outputs) * 1e-6
        return Scored(summed / images[:, None], later == later.max(axis=1, keepdims=True))
    return Scored(summed / np.maximum(images, 1)[:, None], votes > 0)


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
    scored: Scored, recipe: Recipe, *, min_cell: int, names: Collection[str], prefix: str = ""
) -> Claims:
    """Return the agreed values of one model on one split.

    Args:
        scored: patients with scores and labels.
        recipe: task and classes.
        min_cell: smallest count that may be shown; below it all of a value is null.
        names: the names the charter allows; no other value is made.
        prefix: `local.` for a hospital's own model.

    Returns:
        name to {value, low, high: Decimal with six places or null, n, positives}.
    """
    wanted = [name for name in _names(recipe) if prefix + name in names]
    return {prefix + name: _Judge(scored, recipe, min_cell).claim(name) for name in wanted}


def _names(recipe: Recipe) -> list[str]:
    plain = ["auroc", "accuracy", "sensitivity", "specificity"]
    if recipe.task == "binary":
        return plain
    return plain + [f"{name}.{label}" for name in plain for label in recipe.classes]


class _Judge:
    """Answers for one value at a time; knows how many cases stand behind each label."""

    def __init__(self, scored: Scored, recipe: Recipe, min_cell: int) -> None:
        self._scored, self._min_cell = scored, min_cell
        self._columns = {label: place for place, label in enumerate(recipe.classes)}
        if recipe.task == "binary":
            self._columns = {"": 0}
        exclusive = recipe.task == "multiclass"
        self._said = _decide(scored.scores, exclusive=exclusive)

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

    def _sides(self, column: int) -> int:
        positives = int(self._scored.labels[:, column].sum())
        return min(positives, len(self._scored) - positives)

    def _single(self, kind: str, column: int) -> Estimate | None:
        truth, said = self._scored.labels[:, column], self._said[:, column]
        if kind == "auroc":
            return self._mean(kind, [column])
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
        claim: Claim = {**NOTHING, "n": len(self._scored), "positives": positives}
        if found is not None:
            claim.update(value=_dec(found.value), low=_dec(found.low), high=_dec(found.high))
        return claim


def _decide(scores: Doubles, *, exclusive: bool) -> Flags:
    if not exclusive:
        return scores >= OPERATING_POINT
    said = np.zeros(scores.shape, dtype=np.bool_)
    if len(scores):
        said[np.arange(len(scores)), scores.argmax(axis=1)] = True
    return said


def _dec(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_SIX_PLACES).normalize() + Decimal(0)
