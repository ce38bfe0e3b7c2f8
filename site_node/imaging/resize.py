"""Bring an image to the recipe's size: area-averaging down, linear up, then padded or cropped.

Every pixel of the result is a fixed weighted sum, one axis after the other: the same file gives the
same bytes on every run.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]


def fit_image(
    image: FloatArray,
    size: tuple[int, int],
    fit: Literal["pad", "crop"],
    pixel: tuple[float, float] = (1.0, 1.0),
) -> FloatArray:
    """Scale an image without distorting it, then pad with zeros or crop around its centre.

    Args:
        image: (C, H, W), values in [0, 1].
        size: rows and columns of the result.
        fit: `pad` keeps the whole image, `crop` fills the whole frame.
        pixel: height and width of a pixel in any one unit; unequal ones are evened out.

    Returns:
        (C, rows, columns), values in [0, 1].
    """
    rows, columns = target_of(image.shape[1:], size, fit, pixel)
    return _place(_scale(image, rows, columns), size)


def _scale(image: FloatArray, rows: int, columns: int) -> FloatArray:
    if image.shape[1:] == (rows, columns):
        return image
    down = _along(image, rows)
    return np.clip(_along(down.transpose(0, 2, 1), columns).transpose(0, 2, 1), 0.0, 1.0)


def _along(image: FloatArray, new: int) -> FloatArray:
    """Bring the second axis to a new length."""
    old = image.shape[1]
    if new <= old:
        return np.stack([_shares(old, new) @ channel for channel in image])
    before, after, share = _neighbours(old, new)
    low, high = image[:, before], image[:, after]
    return np.asarray(low + (high - low) * share, np.float64)


def fit_mask(
    mask: NDArray[np.uint8],
    size: tuple[int, int],
    fit: Literal["pad", "crop"],
    pixel: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.uint8]:
    """Do to a mask (H, W) what `fit_image` does to its image: the nearest pixel's class, else 0."""
    rows, columns = target_of(mask.shape, size, fit, pixel)
    down, across = _nearest(mask.shape[0], rows), _nearest(mask.shape[1], columns)
    return _place(mask[np.ix_(down, across)][None].astype(np.float64), size)[0].astype(np.uint8)


def _nearest(old: int, new: int) -> NDArray[np.intp]:
    return np.minimum((np.arange(new) + 0.5) * old / new, old - 1).astype(np.intp)


def target_of(
    shape: tuple[int, ...],
    size: tuple[int, int],
    fit: Literal["pad", "crop"],
    pixel: tuple[float, float],
) -> tuple[int, int]:
    """Rows and columns of an image after scaling, before it is padded or cropped."""
    height, width = shape[0] * pixel[0], shape[1] * pixel[1]
    ratios = size[0] / height, size[1] / width
    ratio = min(ratios) if fit == "pad" else max(ratios)
    return max(1, round(height * ratio)), max(1, round(width * ratio))


@lru_cache(maxsize=32)
def _shares(old: int, new: int) -> FloatArray:
    """How much of each old pixel lies in each new one: a (new, old) matrix, rows sum to 1."""
    step = old / new
    edges = np.arange(new)[:, None] * step
    cells = np.arange(old)[None, :]
    overlap = np.minimum(edges + step, cells + 1) - np.maximum(edges, cells)
    weights = np.clip(overlap, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)


@lru_cache(maxsize=32)
def _neighbours(old: int, new: int) -> tuple[IntArray, IntArray, FloatArray]:
    """The old pixels on both sides of each new one, and how far it is on the way to the second."""
    centres = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    before = np.minimum(centres.astype(np.int64), max(old - 2, 0))
    after = np.minimum(before + 1, old - 1)
    return before, after, (centres - before)[:, None]


def _place(image: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Lay the image in the middle of a frame of zeros; what juts out is cut off."""
    frame = np.zeros((image.shape[0], *size))
    taken, put = zip(
        *(middle(have, want) for have, want in zip(image.shape[1:], size, strict=True)),
        strict=True,
    )
    frame[:, put[0], put[1]] = image[:, taken[0], taken[1]]
    return frame


def middle(have: int, want: int) -> tuple[slice, slice]:
    """Which part of an axis is taken, and where in the wanted one it is laid."""
    length = min(have, want)
    start, target = (have - length) // 2, (want - length) // 2
    return slice(start, start + length), slice(target, target + length)
