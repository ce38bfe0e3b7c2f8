"""Small changes that keep the label: mirror, turn, shift, noise; on a whole batch of tensors.

Every image of a batch gets its own change; the draws come from one seeded generator, so the same
order trains the same model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from compliance.records.recipe import Augment


def augment(images: Tensor, terms: Augment, generator: torch.Generator) -> Tensor:
    """Return changed copies of standardised images.

    Args:
        images: float32 (B, C, H, W), standardised.
        terms: what may be done: left-right mirror, degrees, share of the width, noise in units of
            the standard deviation.
        generator: where the draws come from.

    Returns:
        float32, same shape; the border repeats where a turn or shift looks beyond it.
    """
    turn, shift, noise = float(terms.rotate), float(terms.shift), float(terms.noise)
    if terms.flip:
        mirrored = torch.rand(len(images), generator=generator) < 0.5  # noqa: PLR2004 - a fair coin
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if turn or shift:
        images = _moved(images, turn, shift, generator)
    if noise:
        images = images + noise * torch.randn(images.shape, generator=generator)
    return images


def _moved(images: Tensor, turn: float, shift: float, generator: torch.Generator) -> Tensor:
    count = len(images)
    angle = _even(count, generator) * turn * math.pi / 180
    across, down = _even(count, generator) * 2 * shift, _even(count, generator) * 2 * shift
    cosine, sine = torch.cos(angle), torch.sin(angle)
    top = torch.stack([cosine, -sine, across], dim=1)
    bottom = torch.stack([sine, cosine, down], dim=1)
    grid = torch.nn.functional.affine_grid(
        torch.stack([top, bottom], dim=1), list(images.shape), align_corners=False
    )
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _even(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * 2 - 1
