"""The pooled reference: one training over several hospitals' cases; for the demo and tests only.

In a real study nobody can run this, because nobody has all cases in one place.

`python -m site_node.training.pooled --rounds N --recipe recipe.json FOLDER FOLDER ...` prints one
JSON line with `auc_test_pooled`, for masks `dice_test_pooled`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from compliance.records.recipe import Recipe, read_recipe, whole_layout
from site_node.training.datasets import (
    Curated,
    IntArray,
    Spec,
    Split,
    check_fit,
    masks_of,
    open_dataset,
)
from site_node.training.evaluation import Scored, score_patients
from site_node.training.learning import check_supported, repeatable, train
from site_node.training.overlaps import Overlaps, overlap_patients
from site_node.training.session import baseline_seed, network_of
from site_node.training.statistics import (
    Doubles,
    Estimate,
    Flags,
    auroc_influences,
    interval,
    mean_of,
)
from site_node.training.vectors import FloatArray, load, pack, start_vector


@dataclass(frozen=True)
class Pool:
    """Several datasets read as one; patients of different hospitals stay different."""

    parts: Sequence[Curated]

    @property
    def spec(self) -> Spec:
        """Description of the first; the others fit the same recipe."""
        return self.parts[0].spec

    def rows(self, split: str) -> IntArray:
        """Number the rows of all parts: part * 2^32 + row."""
        return np.concatenate(
            [
                np.asarray(part.rows(split), dtype=np.int64) + (place << 32)
                for place, part in enumerate(self.parts)
            ]
        )

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Read rows of any parts, in the order asked for."""
        images: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(rows)
        labels: list[Any] = [0] * len(rows)
        for place in np.unique(rows >> 32):
            spots = np.flatnonzero(rows >> 32 == place)
            some, marks = self.parts[place].batch(rows[spots] & 0xFFFFFFFF)
            for spot, image, mark in zip(spots, some, marks, strict=True):
                images[spot], labels[spot] = image, mark
        return np.stack(images), np.asarray(labels)

    def masks(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Read masks of rows of any parts, in the order asked for."""
        found = [masks_of(self.parts[row >> 32], np.asarray([row & 0xFFFFFFFF]))[0] for row in rows]
        return np.stack(found)

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """Return pseudonyms with the part's number before them."""
        names = [""] * len(rows)
        for place in np.unique(rows >> 32):
            spots = np.flatnonzero(rows >> 32 == place)
            found = self.parts[place].patients(rows[spots] & 0xFFFFFFFF)
            for spot, name in zip(spots, found, strict=True):
                names[spot] = f"{place}/{name}"
        return names


def train_pooled(
    recipe: Recipe, parts: Sequence[Curated], rounds: int, *, start: FloatArray | None = None
) -> FloatArray:
    """Train on all cases together, as many epochs as a study of so many rounds; return the model.

    Args:
        recipe: the study's recipe.
        parts: the hospitals' datasets.
        rounds: rounds of the study.
        start: start weights; without it drawn from the recipe's seed.
    """
    check_supported(recipe)
    for part in parts:
        check_fit(part, recipe)
    layout, seed = whole_layout(recipe), baseline_seed(recipe.seed)
    with repeatable(seed, recipe.threads):
        network = network_of(recipe)
        load(network, layout, start_vector(layout, seed) if start is None else start)
        train(network, Split(Pool(parts), "train", recipe), recipe, seed=seed, rounds=rounds)
        return pack(network, layout)


def _filled(vector: FloatArray, recipe: Recipe) -> nn.Module:
    network = network_of(recipe)
    load(network, whole_layout(recipe), vector)
    return network


def score_on(vector: FloatArray, data: Curated, split: str, recipe: Recipe) -> Scored:
    """Score the patients of one open dataset with a packed model."""
    check_fit(data, recipe)
    with repeatable(recipe.seed, recipe.threads):
        return score_patients(_filled(vector, recipe), Split(data, split, recipe), recipe)


def overlaps_on(vector: FloatArray, data: Curated, split: str, recipe: Recipe) -> Overlaps:
    """Let a packed model draw on one open dataset; voxels by patient."""
    check_fit(data, recipe)
    with repeatable(recipe.seed, recipe.threads):
        return overlap_patients(_filled(vector, recipe), Split(data, split, recipe), recipe)


def evaluate_scores(
    vector: FloatArray, dataset_dir: Path, split: str, *, recipe: Recipe
) -> tuple[Doubles, Flags]:
    """Score the patients of a curated dataset, for an AUC over several hospitals in the demo.

    Returns:
        scores in [0, 1] and labels, both (patients,) for a binary task, else (patients, classes);
        in no order that names anybody. Of masks the score is the Dice value where the patient has
        the class (label 1), else 1 where nothing was drawn and 0 where something was.
    """
    if recipe.draws:
        found = overlaps_on(vector, open_dataset(dataset_dir), split, recipe)
        there = found.true > 0
        left: Doubles = (found.drawn == 0).astype(np.float64)
        return np.where(there, found.dice(), left), there
    scored = score_on(vector, open_dataset(dataset_dir), split, recipe)
    if recipe.task == "binary":
        return scored.scores[:, 0], scored.labels[:, 0]
    return scored.scores, scored.labels


def auroc(parts: Sequence[Scored]) -> float:
    """Return the AUROC over the patients of all parts; the mean over classes where several."""
    return auroc_of(parts).value


def auroc_of(parts: Sequence[Scored]) -> Estimate:
    """Return the AUROC as `auroc` does, with its 95 % interval (DeLong)."""
    scores = np.concatenate([part.scores for part in parts])
    labels = np.concatenate([part.labels for part in parts])
    columns = range(scores.shape[1])
    found = mean_of([auroc_influences(scores[:, c], labels[:, c]) for c in columns])
    counts = labels.sum(axis=0)
    return interval(found, int(np.minimum(counts, len(labels) - counts).min()))


def mean_dice(parts: Sequence[Overlaps]) -> float:
    """Return the Dice value over the patients of all parts who have a class; mean over classes."""
    values = np.concatenate([part.dice() for part in parts])
    return float(np.nanmean(values, axis=0).mean())


def main(arguments: list[str]) -> int:
    """Train the reference on the folders given; print its AUC or Dice over all test cases."""
    parser = argparse.ArgumentParser(prog="python -m site_node.training.pooled")
    parser.add_argument("--rounds", type=int, required=True, help="rounds of the study")
    parser.add_argument("--recipe", type=Path, required=True, help="recipe document, JSON")
    parser.add_argument("folders", type=Path, nargs="+", help="curated datasets, one per hospital")
    chosen = parser.parse_args(arguments)
    recipe = read_recipe(json.loads(chosen.recipe.read_bytes()))
    parts = [open_dataset(folder) for folder in chosen.folders]
    model = train_pooled(recipe, parts, chosen.rounds)
    if recipe.draws:
        drawn = mean_dice([overlaps_on(model, part, "test", recipe) for part in parts])
        told = {"dice_test_pooled": round(drawn, 4)}
    else:
        area = auroc([score_on(model, part, "test", recipe) for part in parts])
        told = {"auc_test_pooled": round(area, 4)}
    sys.stdout.write(json.dumps(told) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
