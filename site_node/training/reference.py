"""What later predictions are compared with: labels and brightness of the registered dataset.

And the threshold, chosen once on the validation cases and frozen: never on the cases that a model
is then judged by.

Source: design/federation.md §9; Youden 1950 for the choice of a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compliance.records.recipe import Recipe, whole_layout
from site_node.training.datasets import Curated, Split
from site_node.training.evaluation import FEWEST_FOR_AUROC, Scored, score_patients
from site_node.training.learning import repeatable
from site_node.training.profiles import profile_of, scored_classes
from site_node.training.session import network_of
from site_node.training.statistics import Doubles, Flags
from site_node.training.vectors import FloatArray, load


@dataclass(frozen=True)
class Reference:
    """A registered dataset in numbers; nothing of it leaves.

    Args:
        images: how many.
        labels: images by outcome.
        bins: summed shares of 16 bins of brightness, in millionths.
        points: frozen threshold by class; empty where too few validation cases are here.
    """

    images: int
    labels: dict[str, int]
    bins: list[int]
    points: dict[str, float]


def reference_of(vector: FloatArray, data: Curated, recipe: Recipe) -> Reference:
    """Look at a whole dataset once, and choose the threshold on its validation cases."""
    told = profile_of(data, recipe)
    points = {} if recipe.draws else points_of(_validated(vector, data, recipe), recipe)
    return Reference(told["images"], told["labels"], told["bins"], points)


def _validated(vector: FloatArray, data: Curated, recipe: Recipe) -> Scored:
    with repeatable(recipe.seed, recipe.threads):
        network = network_of(recipe)
        load(network, whole_layout(recipe), vector)
        return score_patients(network, Split(data, "validation", recipe), recipe)


def points_of(scored: Scored, recipe: Recipe) -> dict[str, float]:
    """The threshold of each class by Youden's index; the highest score decides between several.

    A class with fewer than 10 patients on either side gets none: it would be chance.
    """
    if recipe.task == "multiclass":
        return {}
    found = {}
    for column, name in enumerate(scored_classes(recipe)):
        truth = scored.labels[:, column]
        if min(int(truth.sum()), int((~truth).sum())) >= FEWEST_FOR_AUROC:
            found[name] = _youden(scored.scores[:, column], truth)
    return found


def _youden(scores: Doubles, truth: Flags) -> float:
    """The score from which on positives outweigh negatives most; of equals the lowest."""
    order = np.unique(scores)
    hits = np.array([(scores[truth] >= point).mean() for point in order])
    false = np.array([(scores[~truth] >= point).mean() for point in order])
    return float(np.round(order[int(np.argmax(hits - false))], 9))
