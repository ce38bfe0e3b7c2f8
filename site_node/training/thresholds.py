"""The operating point of two classes: chosen once on validation patients, in hundredths.

A hundredth is no patient's own score. Never chosen on the cases that a model is then judged by, and
never again: the site keeps it, and the log refuses another (`metric.frozen`).

Source: design/federation.md §9; Youden 1950.
"""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from compliance.records.recipe import Recipe
from site_node.training.claims import NOTHING, Claim
from site_node.training.evaluation import FEWEST_FOR_AUROC, OPERATING_POINT, Scored

CHOICES = tuple(Decimal(number) / 100 for number in range(1, 100))


def chosen(scored: Scored, recipe: Recipe) -> Decimal | None:
    """The hundredth with the largest Youden index; of equals the nearest to one half, then lower.

    None where there are not two classes, or fewer than 10 patients on either side: it would be
    chance.
    """
    if recipe.task != "binary" or _fewest(scored) < FEWEST_FOR_AUROC:
        return None
    scores, truth = scored.scores[:, 0], scored.labels[:, 0]

    def worth(point: Decimal) -> tuple[float, float]:
        over = scores >= float(point)
        index = float(over[truth].mean() - over[~truth].mean())
        return round(index, 9), -abs(float(point) - OPERATING_POINT)

    return max(CHOICES, key=worth)


def point_claim(point: Decimal | None, scored: Scored, min_cell: int) -> Claim:
    """The frozen threshold as a value, with the validation patients there are; no interval.

    It is a setting and no estimate.
    """
    if point is None or _fewest(scored) < max(1, min_cell):
        return dict(NOTHING)
    positives = int(scored.labels[:, 0].sum())
    return {**NOTHING, "value": point, "n": len(scored), "positives": positives}


def _fewest(scored: Scored) -> int:
    if not len(scored):
        return 0
    positives = int(np.sum(scored.labels[:, 0]))
    return min(positives, len(scored) - positives)
