"""Small changes that keep the label: mirror, turn, shift, noise; on a whole batch of tensors.

Every image of a batch gets its own change; the draws come from one seeded generator, so the same
order trains the same model.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from compliance.records.families import FLAT
from compliance.records.training import Augment


def augment(images: Tensor, terms: Augment, generator: torch.Generator) -> Tensor:
    """Return changed copies of standardised images.

    Args:
        images: float32 (B, C, H, W) or (B, C, D, H, W), standardised.
        terms: what may be done: left-right mirror, degrees, share of the width, noise in units of
            the standard deviation. A volume is turned slice by slice alike, and shifted along its
            slices too.
        generator: where the draws come from.

    Returns:
        float32, same shape; the border repeats where a turn or shift looks beyond it.
    """
    return augment_both(images, None, terms, generator)[0]


def augment_both(
    images: Tensor, masks: Tensor | None, terms: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor | None]:
    """Change images and their masks alike; noise is for images only.

    Args:
        images: as `augment`.
        masks: int64 (B, H, W) or (B, D, H, W), or none.
        terms: as `augment`.
        generator: as `augment`.

    Returns:
        Both, same shapes; a mask never has a value that it did not have.
    """
    turn, shift, noise = float(terms.rotate), float(terms.shift), float(terms.noise)
    if terms.flip:
        mirrored = torch.rand(len(images), generator=generator) < 0.5  # noqa: PLR2004 - a fair coin
        images = _mirrored(images, mirrored)
        masks = None if masks is None else _mirrored(masks, mirrored)
    if turn or shift:
        grid = _grid(images, turn, shift, generator)
        images = _sampled(images, grid, "bilinear")
        masks = None if masks is None else _followed(masks, grid)
    if noise:
        images = images + noise * torch.randn(images.shape, generator=generator)
    return images, masks


def _mirrored(values: Tensor, which: Tensor) -> Tensor:
    return torch.where(which.reshape(-1, *[1] * (values.dim() - 1)), values.flip(-1), values)


def _grid(images: Tensor, turn: float, shift: float, generator: torch.Generator) -> Tensor:
    count, dims = len(images), images.dim() - 2
    angle = _even(count, generator) * turn * math.pi / 180
    across, down = _even(count, generator) * 2 * shift, _even(count, generator) * 2 * shift
    cosine, sine = torch.cos(angle), torch.sin(angle)
    rows = [torch.stack([cosine, -sine, across], dim=1), torch.stack([sine, cosine, down], dim=1)]
    if dims > FLAT:
        up, none = _even(count, generator) * 2 * shift, torch.zeros(count)
        rows = [torch.cat([row[:, :2], none[:, None], row[:, 2:]], dim=1) for row in rows]
        rows.append(torch.stack([none, none, none + 1, up], dim=1))
    return torch.nn.functional.affine_grid(
        torch.stack(rows, dim=1), list(images.shape), align_corners=False
    )


def _sampled(images: Tensor, grid: Tensor, mode: str) -> Tensor:
    return torch.nn.functional.grid_sample(
        images, grid, mode=mode, padding_mode="border", align_corners=False
    )


def _followed(masks: Tensor, grid: Tensor) -> Tensor:
    return _sampled(masks[:, None].to(grid.dtype), grid, "nearest")[:, 0].to(masks.dtype)


def _even(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator) * 2 - 1
