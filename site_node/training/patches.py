"""Pieces of images and volumes: drawn for training, laid over each other for the answer.

A piece is as large as the recipe's `patch`. Half of them are drawn around a voxel of a class, else
a small lesion would hardly be seen; the draws come from the round's own generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

OVERLAP = 2
"""Neighbouring pieces of an answer share half of their side."""


def cut(
    images: Tensor, masks: Tensor, patch: Sequence[int] | None, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw one piece of every image, and the same of its mask.

    Args:
        images: float32 (B, C, …).
        masks: int64 (B, …), same sides.
        patch: sides of a piece, none for the whole.
        draws: where the places come from.
    """
    if patch is None or list(masks.shape[1:]) == list(patch):
        return images, masks
    corners = [_corner(mask, patch, draws) for mask in masks]
    places = [
        tuple(slice(int(a), int(a) + side) for a, side in zip(corner, patch, strict=True))
        for corner in corners
    ]
    pieces = [image[(slice(None), *place)] for image, place in zip(images, places, strict=True)]
    drawn = [mask[place] for mask, place in zip(masks, places, strict=True)]
    return torch.stack(pieces), torch.stack(drawn)


def _corner(mask: Tensor, patch: Sequence[int], draws: torch.Generator) -> Tensor:
    """Where a piece begins: anywhere, or so that a voxel of a class lies within."""
    sides = torch.tensor(mask.shape)
    room = sides - torch.tensor(list(patch))
    anywhere = (torch.rand(len(sides), generator=draws) * (room + 1)).long()
    coin, which = torch.rand(2, generator=draws).tolist()
    inside = mask.nonzero() if coin < 1 / 2 else mask.new_zeros((0, len(sides)))
    if not len(inside):
        return anywhere
    voxel = inside[int(which * len(inside))]
    within = (torch.rand(len(sides), generator=draws) * torch.tensor(list(patch))).long()
    return torch.minimum((voxel - within).clamp(min=0), room)


def answer(network: nn.Module, images: Tensor, patch: Sequence[int] | None) -> Tensor:
    """Return the chance of every class at every voxel, (B, outputs, …).

    With a patch, pieces that overlap by half are answered one after the other and their chances
    added up: every voxel counts as often as it was seen.
    """
    if patch is None or list(images.shape[2:]) == list(patch):
        return network(images).softmax(dim=1)
    total: Tensor | None = None
    seen = images.new_zeros(images.shape[2:])
    for place in _places(images.shape[2:], patch):
        here: tuple[Any, ...] = (..., *place)
        told = network(images[here]).softmax(dim=1)
        if total is None:
            total = told.new_zeros((*told.shape[:2], *images.shape[2:]))
        total[here] += told
        seen[place] += 1
    assert total is not None  # noqa: S101 - there is at least one place
    return total / seen


def _places(sides: Sequence[int], patch: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Every place of a piece; the last one of a side ends where the side ends."""
    starts = [
        sorted({*range(0, side - piece, max(1, piece // OVERLAP)), side - piece})
        for side, piece in zip(sides, patch, strict=True)
    ]
    for corner in product(*starts):
        yield tuple(slice(a, a + piece) for a, piece in zip(corner, patch, strict=True))
