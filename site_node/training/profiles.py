"""A curated dataset in numbers: images by outcome, and 16 bins of brightness. It stays here.

What a later version of the dataset, or a later prediction, is compared with.

Source: design/federation.md §9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.records.families import FLAT
from compliance.records.recipe import Recipe
from site_node.training.datasets import Curated, Split
from site_node.training.evaluation import OPERATING_POINT
from site_node.training.statistics import Doubles, Flags

Profile: TypeAlias = dict[str, Any]
"""`images`: how many; `labels`: images by outcome; `bins`: summed shares in millionths, or none."""

BINS = 16
SPLITS = ("train", "validation", "test")
BATCH = 64
MILLION = 1_000_000
NONE = "none"
"""The outcome of an image that has none of several labels."""


def shares_of(images: NDArray[np.float32]) -> NDArray[np.int64]:
    """How the brightness of each image is spread: (B, 16) shares in millionths.

    Args:
        images: float32 (B, …) in [0, 1].
    """
    places = np.minimum((images.reshape(len(images), -1) * BINS).astype(np.int64), BINS - 1)
    counts = np.stack([np.bincount(row, minlength=BINS) for row in places])
    return np.asarray(counts * MILLION // places.shape[1], np.int64)


def outcomes(scores: Doubles, recipe: Recipe, points: dict[str, float]) -> list[tuple[str, ...]]:
    """The classes that each row of scores (B, outputs) comes to; 0.5 where nothing was frozen."""
    if recipe.task == "multiclass":
        return [(recipe.classes[int(row.argmax())],) for row in scores]
    names = scored_classes(recipe)
    least = np.array([points.get(name, OPERATING_POINT) for name in names])
    over = scores >= least
    if recipe.task == "binary":
        return [(recipe.classes[int(row[0])],) for row in over]
    return [_named(row, names) for row in over]


def present(masks: NDArray[np.uint8], recipe: Recipe) -> list[tuple[str, ...]]:
    """The classes that each mask (B, …) holds; the word for none where it is empty."""
    held = np.stack(
        [
            (masks == k).reshape(len(masks), -1).any(axis=1)
            for k in range(1, 1 + len(recipe.classes))
        ],
        axis=1,
    )
    return _drawn(held, recipe)


def _drawn(marks: NDArray[Any], recipe: Recipe) -> list[tuple[str, ...]]:
    return [_named(row, recipe.classes) for row in np.asarray(marks) > 0]


def scored_classes(recipe: Recipe) -> list[str]:
    """The classes that have a score: of two the second, else all."""
    return list(recipe.classes[1:]) if recipe.task == "binary" else list(recipe.classes)


def _named(over: Flags, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name for name, held in zip(names, over, strict=True) if held) or (NONE,)


def profile_of(data: Curated, recipe: Recipe) -> Profile:
    """Look at a whole dataset once. A table has no brightness: its bins are empty."""
    labels: Counter[str] = Counter()
    bins, images = np.zeros(BINS, np.int64), 0
    for name in SPLITS:
        split = Split(data, name, recipe)
        held = split.labels().numpy().astype(np.float64)
        labels.update(word for row in outcomes(held, recipe, {}) for word in row)
        step = 1 if recipe.dims > FLAT else BATCH
        for start in range(0, 0 if recipe.tabular else len(split.rows), step):
            some, marks = data.batch(split.rows[start : start + step])
            bins += shares_of(some).sum(axis=0)
            if recipe.draws:
                labels.update(word for row in _drawn(marks, recipe) for word in row)
        images += len(split)
    light = [] if recipe.tabular else [int(n) for n in bins]
    return {"images": images, "labels": dict(sorted(labels.items())), "bins": light}
