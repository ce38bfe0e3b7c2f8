"""Physical values of a volume become stored ones: 16 bits, 0 is the lower end, 65535 the upper.

Hounsfield units keep the recipe's window, so that 0.5 means the same tissue at every hospital.
Other values have no common scale: the window of a volume reaches from its 0.5th to its 99.5th
percentile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from site_node.imaging.grid import Axis, through
from site_node.imaging.recipe import ImportRecipe

TOP = 65535
SHARES = (0.5, 99.5)
MOST_JUDGED = 1 << 22


def window_of(planes: NDArray[np.float32], recipe: ImportRecipe) -> tuple[float, float]:
    """Lower and upper end of what is kept.

    Args:
        planes: the volume, (slices, rows, columns), NaN where it is padding; may be a memory map.
        recipe: `hu` has its own window.
    """
    if recipe.intensity == "hu":
        return float(recipe.hu_range[0]), float(recipe.hu_range[1])
    step = max(1, -(-planes.size // MOST_JUDGED))
    some = planes.reshape(-1)[::step]
    low, high = np.nanpercentile(some, SHARES)
    return float(low), float(high) if high > low else float(low) + 1.0


def stored_slices(
    planes: NDArray[np.float32], slices: Axis, recipe: ImportRecipe
) -> Iterator[bytes]:
    """The slices of the result as they are kept, one after the other; padding is 0."""
    low, high = window_of(planes, recipe)
    empty = bytes(planes.shape[1] * planes.shape[2] * 2)
    for plane in through(planes, slices):
        yield empty if plane is None else _stored(plane, low, high).tobytes()


def _stored(plane: NDArray[Any], low: float, high: float) -> NDArray[np.uint16]:
    share = (plane.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(np.nan_to_num(share), 0, 1) * TOP).astype("<u2")
