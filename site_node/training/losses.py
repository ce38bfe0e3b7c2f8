"""The losses of the closed list, with weights that let a rare class be heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from compliance.records.recipe import Recipe

Loss: TypeAlias = Callable[[Tensor, Tensor], Tensor]

HEAVIEST = 20.0
"""A single rare case must not steer a whole hospital's update."""


def loss_of(recipe: Recipe, labels: Tensor) -> Loss:
    """Return the recipe's loss: (logits, labels) to a mean over the batch.

    Args:
        recipe: names loss and class weights.
        labels: all training labels of this hospital, float32 (n, outputs); they set the weights.
    """
    if recipe.loss == "cross_entropy":
        weights = class_weights(labels) if recipe.class_weights == "balanced" else None
        return lambda logits, wanted: torch.nn.functional.cross_entropy(
            logits, wanted.argmax(dim=1), weight=weights
        )
    if recipe.class_weights == "none":
        return torch.nn.functional.binary_cross_entropy_with_logits
    positive, negative = label_weights(labels)
    return lambda logits, wanted: torch.nn.functional.binary_cross_entropy_with_logits(
        logits, wanted, weight=wanted * positive + (1 - wanted) * negative
    )


def class_weights(labels: Tensor) -> Tensor:
    """Return n / (classes present * cases of the class) per class, at most `HEAVIEST`.

    Args:
        labels: one-hot, (n, K). A class without cases weighs nothing.
    """
    cases = labels.sum(dim=0)
    present = (cases > 0).sum().clamp(min=1)
    weights = len(labels) / (present * cases.clamp(min=1))
    return torch.where(cases > 0, weights, torch.zeros_like(weights)).clamp(max=HEAVIEST)


def label_weights(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return per label the weight of a positive and of a negative case, each (K,).

    Both sides of a label get half of the whole; where a side is empty all cases weigh 1.
    """
    positives = labels.sum(dim=0)
    negatives = len(labels) - positives
    both = (positives > 0) & (negatives > 0)
    one = torch.ones_like(positives)
    half = len(labels) / 2
    return (
        torch.where(both, half / positives.clamp(min=1), one).clamp(max=HEAVIEST),
        torch.where(both, half / negatives.clamp(min=1), one).clamp(max=HEAVIEST),
    )
