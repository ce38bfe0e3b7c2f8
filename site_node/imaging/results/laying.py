"""A mask of a model, on the recipe's grid, laid back on the pixels that a scanner stored.

The way of `fit_image` and `Axis` backwards, nearest neighbour: what was padded is dropped, what was
cropped away is in no class. A viewer then shows the mask on the image that the hospital knows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from site_node.imaging.grid import Axis
from site_node.imaging.resize import middle, target_of
from site_node.imaging.series import Turn

Mask: TypeAlias = NDArray[np.uint8]
Places: TypeAlias = NDArray[np.intp]


def on_image(
    mask: Mask,
    shape: tuple[int, int],
    fit: Literal["pad", "crop"],
    pixel: tuple[float, float] = (1.0, 1.0),
) -> Mask:
    """Lay a mask (rows, columns of the recipe) on a stored image.

    Args:
        mask: class of every pixel, 0 is none.
        shape: rows and columns of the stored image.
        fit: as the image was fitted.
        pixel: height and width of a stored pixel in any one unit.
    """
    scaled = target_of(shape, (mask.shape[0], mask.shape[1]), fit, pixel)
    sides = zip(shape, scaled, mask.shape, strict=True)
    rows, columns = (_through_frame(*side) for side in sides)
    return _taken(mask, rows, columns)


def on_slices(mask: Mask, axes: Sequence[Axis], turn: Turn) -> Mask:
    """Lay a mask (slices, rows, columns of the recipe) on the slices of a series.

    Returns:
        uint8 (slices, rows, columns) in the order of the stack, each slice as it is stored.
    """
    slices, rows, columns = (_through_axis(axis) for axis in axes)
    empty = np.zeros(mask.shape[1:], np.uint8)
    laid = [_taken(mask[at] if at >= 0 else empty, rows, columns) for at in slices]
    return np.stack([_unturned(one, turn) for one in laid])


def _through_frame(have: int, scaled: int, want: int) -> Places:
    """For each stored pixel its place in the frame; -1 where it was cropped away."""
    taken, put = middle(scaled, want)
    places = np.minimum(((np.arange(have) + 0.5) * scaled / have).astype(np.intp), scaled - 1)
    inside = (places >= taken.start) & (places < taken.stop)
    return np.where(inside, places - taken.start + put.start, -1)


def _through_axis(axis: Axis) -> Places:
    """For each source index the nearest one of the result; -1 outside."""
    places = np.floor((np.arange(axis.have) - axis.start) / axis.step + 0.5).astype(np.intp)
    return np.where((places >= 0) & (places < axis.size), places, -1)


def _taken(mask: Mask, rows: Places, columns: Places) -> Mask:
    laid = mask[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))].copy()
    laid[rows < 0] = 0
    laid[:, columns < 0] = 0
    return laid


def _unturned(laid: Mask, turn: Turn) -> Mask:
    """The turn of a slice backwards: first mirror, then exchange rows and columns."""
    mirrored = laid[:: -1 if turn.mirror_rows else 1, :: -1 if turn.mirror_columns else 1]
    return mirrored.T if turn.exchange else mirrored
