"""From the grid of a series to the grid of the recipe: linear for images, nearest for masks.

Each axis is resampled around its centre, then cut or padded around its centre. Written with index
arrays, slice by slice: the same volume gives the same bytes, and two slices are in memory at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from site_node.imaging.resize import middle

FloatArray: TypeAlias = NDArray[np.float64]
Image: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """One axis of the result.

    Args:
        size: voxels in the result.
        start: source index of the result's first voxel; may lie outside.
        step: source voxels per voxel of the result.
        inside: which voxels of the result lie in the source; the others are padding.
        have: voxels of the source.
    """

    size: int
    start: float
    step: float
    inside: slice
    have: int

    def places(self) -> FloatArray:
        """Source index of every voxel inside, at most half a voxel beyond moved to the edge."""
        wanted = self.start + self.step * np.arange(self.inside.start, self.inside.stop)
        return np.clip(wanted, 0, self.have - 1)

    def between(self) -> tuple[NDArray[np.intp], NDArray[np.intp], FloatArray]:
        """The two source indices around each voxel inside, and the share of the second."""
        places = self.places()
        low = np.minimum(np.floor(places).astype(np.intp), max(self.have - 2, 0))
        return low, np.minimum(low + 1, self.have - 1), places - low

    def nearest(self) -> NDArray[np.intp]:
        """The source index next to each voxel inside."""
        return np.floor(self.places() + 0.5).astype(np.intp)


def axis_of(have: int, spacing: float, size: int, wanted: float) -> Axis:
    """Plan one axis.

    Args:
        have: voxels of the source.
        spacing: mm between them.
        size: voxels of the result.
        wanted: mm between those.
    """
    step = wanted / spacing
    many = max(1, round(have / step))
    taken, put = middle(many, size)
    first = (have - 1) / 2 - (many - 1) / 2 * step
    return Axis(size, first + (taken.start - put.start) * step, step, put, have)


def axes_of(
    shape: Sequence[int], spacing: Sequence[float], size: Sequence[int], wanted: Sequence[float]
) -> tuple[Axis, Axis, Axis]:
    """Plan slices, rows and columns."""
    planned = [axis_of(*each) for each in zip(shape, spacing, size, wanted, strict=True)]
    return planned[0], planned[1], planned[2]


def affine_of(affine: FloatArray, axes: Sequence[Axis]) -> FloatArray:
    """Where the result lies: maps slice, row, column of it to LPS in mm."""
    change = np.eye(4)
    for number, axis in enumerate(axes):
        change[number, number], change[number, 3] = axis.step, axis.start
    return np.asarray(affine @ change, np.float64)


def slice_linear(image: NDArray[Any], rows: Axis, columns: Axis) -> Image:
    """One slice on the result's rows and columns; NaN where it is padding."""
    source = np.asarray(image, np.float64)
    left, right, share = columns.between()
    wide = source[:, left] * (1 - share) + source[:, right] * share
    upper, lower, weight = rows.between()
    inner = wide[upper] * (1 - weight[:, None]) + wide[lower] * weight[:, None]
    result = np.full((rows.size, columns.size), np.nan, np.float32)
    result[rows.inside, columns.inside] = inner
    return result


def slice_nearest(mask: NDArray[np.uint8], rows: Axis, columns: Axis) -> NDArray[np.uint8]:
    """One slice of a mask on the result's rows and columns; 0 where it is padding."""
    result = np.zeros((rows.size, columns.size), np.uint8)
    result[rows.inside, columns.inside] = mask[np.ix_(rows.nearest(), columns.nearest())]
    return result


def through(planes: NDArray[np.float32], slices: Axis) -> Iterator[Image | None]:
    """Walk through the slices of the result; None for padding.

    Args:
        planes: (source slices, rows, columns), may be a memory map.
        slices: plan of the first axis.
    """
    lower, upper, share = slices.between()
    for number in range(slices.size):
        place = number - slices.inside.start
        if not 0 <= place < len(lower):
            yield None
            continue
        weight = np.float32(share[place])
        yield planes[lower[place]] * (1 - weight) + planes[upper[place]] * weight
