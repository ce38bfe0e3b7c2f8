"""Bring an image to the recipe's size: area-averaging down, linear up, then padded or cropped.

Written with one small matrix per axis, so that every pixel of the result is a fixed weighted sum:
the same file gives the same bytes on every run.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]


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
    height, width = image.shape[1] * pixel[0], image.shape[2] * pixel[1]
    ratios = size[0] / height, size[1] / width
    ratio = min(ratios) if fit == "pad" else max(ratios)
    rows, columns = max(1, round(height * ratio)), max(1, round(width * ratio))
    return _place(_scale(image, rows, columns), size)


def _scale(image: FloatArray, rows: int, columns: int) -> FloatArray:
    if image.shape[1:] == (rows, columns):
        return image
    down, across = _weights(image.shape[1], rows), _weights(image.shape[2], columns)
    return np.clip(np.stack([down @ channel @ across.T for channel in image]), 0.0, 1.0)


@lru_cache(maxsize=32)
def _weights(old: int, new: int) -> FloatArray:
    """A (new, old) matrix whose rows sum to 1."""
    step = old / new
    if new <= old:
        edges = np.arange(new)[:, None] * step
        cells = np.arange(old)[None, :]
        overlap = np.minimum(edges + step, cells + 1) - np.maximum(edges, cells)
        weights = np.clip(overlap, 0, None)
    else:
        centres = np.clip((np.arange(new) + 0.5) * step - 0.5, 0, old - 1)[:, None]
        weights = np.clip(1 - np.abs(centres - np.arange(old)[None, :]), 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float64)


def _place(image: FloatArray, size: tuple[int, int]) -> FloatArray:
    """Lay the image in the middle of a frame of zeros; what juts out is cut off."""
    frame = np.zeros((image.shape[0], *size))
    taken, put = zip(
        *(_middle(have, want) for have, want in zip(image.shape[1:], size, strict=True)),
        strict=True,
    )
    frame[:, put[0], put[1]] = image[:, taken[0], taken[1]]
    return frame


def _middle(have: int, want: int) -> tuple[slice, slice]:
    length = min(have, want)
    start, target = (have - length) // 2, (want - length) // 2
    return slice(start, start + length), slice(target, target + length)
