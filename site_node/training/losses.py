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

SMOOTH = 1.0
"""Voxels that are added to both sides of an overlap: an empty mask has one too."""


def loss_of(recipe: Recipe, labels: Tensor) -> Loss:
    """Return the recipe's loss: (logits, labels) to a mean over the batch.

    Args:
        recipe: names loss and class weights.
        labels: all training labels of this hospital, float32 (n, outputs); they set the weights.
    """
    if recipe.loss == "dice_ce":
        return dice_and_cross_entropy
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


def dice_and_cross_entropy(logits: Tensor, wanted: Tensor) -> Tensor:
    """Overlap of every class with its mask, and cross-entropy of every voxel; equal parts.

    The overlap hears small lesions, the cross-entropy has a slope where a case has none. Both are
    means over cases, so that a case has a gradient of its own.

    Args:
        logits: (B, 1 + K, …); the first is no class.
        wanted: int64 (B, …), 0 is no class.

    Source: Milletari et al. 2016 (V-Net), with the sums of the case in the denominator.
    """
    told = logits.log_softmax(dim=1)
    classes = torch.arange(logits.shape[1], device=wanted.device)
    truth = (wanted[:, None] == classes.reshape(1, -1, *[1] * (wanted.dim() - 1))).to(told.dtype)
    sides = tuple(range(2, told.dim()))
    chance, inside = told.exp()[:, 1:], truth[:, 1:]
    both, sizes = (chance * inside).sum(sides), (chance + inside).sum(sides)
    overlap = (2 * both + SMOOTH) / (sizes + SMOOTH)
    return (1 - overlap).mean() - (truth * told).sum(dim=1).mean()


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
