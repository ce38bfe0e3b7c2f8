"""Does a model give away who it was trained on? A loss threshold, class by class.

Whoever has a patient's image and the model sees its loss. If the losses of training cases are much
smaller than those of cases the model never saw, the model tells them apart: it leaks. Cases of one
class only are compared, since classes differ in loss for honest reasons.

Source: Yeom et al. 2018 (loss threshold); Carlini et al. 2022 (true positives at 1 % false ones);
design/federation.md §8.4.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from compliance.records.recipe import Recipe, whole_layout
from site_node.training.datasets import Curated, Split
from site_node.training.learning import Progress, repeatable
from site_node.training.patches import answer
from site_node.training.session import network_of
from site_node.training.statistics import (
    Doubles,
    Estimate,
    auroc_influences,
    interval,
    proportion,
)
from site_node.training.vectors import FloatArray, load

FEWEST = 100
LEAKS_ABOVE = 0.60
FALSE_SHARE = 0.01
SMALLEST = 1e-12
TESTED, NOT_TESTED = "tested", "not_tested"
_PLACES = Decimal("0.001")


def leak_test(
    vector: FloatArray, data: Curated, recipe: Recipe, progress: Progress | None = None
) -> dict[str, Any]:
    """Attack a model with the cases of this hospital; the answer is plain and canonical.

    Args:
        vector: the whole model, float32, shape (whole_layout(recipe).count,).
        data: the dataset version that it was trained on here.
        recipe: of the study.
        progress: told how far it is.

    Returns:
        `outcome` tested or not_tested, `leaks`, and for each class the patients on both sides,
        `auc` and `tpr` (at 1 % false positives) as {value, low, high} with three places; null
        where a side has fewer than 100 patients.
    """
    with repeatable(recipe.seed, recipe.threads):
        network = network_of(recipe)
        load(network, whole_layout(recipe), vector)
        members = _losses(network, data, recipe, ("train",))
        if progress is not None:
            progress("losses of training cases", 0.5)
        others = _losses(network, data, recipe, ("validation", "test"))
    rows = [_row(name, members.get(name), others.get(name)) for name in recipe.classes]
    tested = [row for row in rows if row["auc"] is not None]
    return {
        "outcome": TESTED if tested else NOT_TESTED,
        "leaks": any(Decimal(row["auc"]["low"]) > Decimal(str(LEAKS_ABOVE)) for row in tested),
        "least": FEWEST,
        "classes": rows,
    }


def _row(name: str, members: Doubles | None, others: Doubles | None) -> dict[str, Any]:
    inside, outside = (np.zeros(0) if side is None else side for side in (members, others))
    told: dict[str, Any] = {"class": name, "members": len(inside), "others": len(outside)}
    if min(len(inside), len(outside)) < FEWEST:
        return told | {"auc": None, "tpr": None}
    return told | {"auc": _plain(_area(inside, outside)), "tpr": _plain(_hits(inside, outside))}


def _area(members: Doubles, others: Doubles) -> Estimate:
    """AUC of small loss as the sign of a member, with DeLong's interval."""
    suspicion = -np.concatenate([members, others])
    inside = np.arange(len(suspicion)) < len(members)
    return interval(auroc_influences(suspicion, inside), min(len(members), len(others)))


def _hits(members: Doubles, others: Doubles) -> Estimate:
    """Members found when at most 1 % of the others are taken for one, with Wilson's interval."""
    wrong = int(len(others) * FALSE_SHARE)
    least = np.sort(others)[wrong]
    return proportion(int((members < least).sum()), len(members))


def _losses(
    network: nn.Module, data: Curated, recipe: Recipe, splits: tuple[str, ...]
) -> dict[str, Doubles]:
    """Mean loss of each patient's images, by class; a patient of two classes is in both."""
    found: dict[tuple[str, str], list[float]] = {}
    network.eval()
    for split in (Split(data, name, recipe) for name in splits):
        patients, at = split.patients(), 0
        with torch.no_grad():
            for images, wanted in split.batches():
                said = _by_mask if recipe.draws else _by_image
                for name, value in said(network, images, wanted, recipe):
                    found.setdefault((name, patients[at + value[0]]), []).append(value[1])
                at += len(images)
    by_class: dict[str, list[float]] = {}
    for (name, _), values in sorted(found.items()):
        by_class.setdefault(name, []).append(float(np.mean(values)))
    return {name: np.asarray(values) for name, values in by_class.items()}


def _by_mask(
    network: nn.Module, images: Tensor, masks: Tensor, recipe: Recipe
) -> list[tuple[str, tuple[int, float]]]:
    """(class, (place in the batch, mean loss of all voxels)) for each class that a mask holds."""
    chance = answer(network, images, recipe.preprocessing.patch).to(torch.float64)
    told = chance.gather(1, masks[:, None])[:, 0].clamp_min(SMALLEST)
    losses = -told.log().flatten(1).mean(dim=1)
    return [
        (name, (place, float(losses[place])))
        for place in range(len(losses))
        for number, name in enumerate(recipe.classes, start=1)
        if bool((masks[place] == number).any())
    ]


def _by_image(
    network: nn.Module, images: Tensor, wanted: Tensor, recipe: Recipe
) -> list[tuple[str, tuple[int, float]]]:
    """(class, (place in the batch, loss)); with several labels each label is a class of its own."""
    logits, functional = network(images).to(torch.float64), torch.nn.functional
    target = wanted.to(torch.float64)
    if recipe.task == "multiclass":
        losses = functional.cross_entropy(logits, target, reduction="none")
        kinds = target.argmax(dim=1)
    else:
        table = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if recipe.task == "multilabel":
            return [
                (recipe.classes[column], (place, float(table[place, column])))
                for place in range(len(table))
                for column in range(table.shape[1])
            ]
        losses, kinds = table[:, 0], target[:, 0]
    return [
        (recipe.classes[int(kind)], (place, float(loss)))
        for place, (kind, loss) in enumerate(zip(kinds, losses, strict=True))
    ]


def _plain(found: Estimate) -> dict[str, str]:
    values = {"value": found.value, "low": found.low, "high": found.high}
    return {name: str(Decimal(repr(float(x))).quantize(_PLACES)) for name, x in values.items()}
