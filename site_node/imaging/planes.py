"""Where one frame lies in the patient, as plain values: no header, no text, no identifier.

Source: DICOM PS3.3 C.7.6.2 (image plane), C.7.6.16 (functional groups of enhanced objects).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = tuple[float, ...]

ALIKE = 1e-4
"""Directions and spacings that differ by less are the same (direction cosines; mm)."""


@dataclass(frozen=True)
class Plane:
    """One frame in the patient's space (LPS, mm).

    Args:
        position: centre of the first voxel, 3 values in mm.
        orientation: direction in which columns grow, then the one in which rows grow; 6 cosines.
        rows: how many.
        columns: how many.
        spacing: mm from row to row and from column to column.
        words: third and fourth value of Image Type, from closed lists.
        numbers: echo, b-value, temporal position; None where the header does not say.
        acquisition: its number; None where the header does not say.
    """

    position: Vector
    orientation: Vector
    rows: int
    columns: int
    spacing: Vector
    words: tuple[str, ...] = ()
    numbers: tuple[float | None, ...] = (None, None, None)
    acquisition: int | None = None

    @property
    def along(self) -> FloatArray:
        """The direction in which the column number grows."""
        return np.array(self.orientation[:3])

    @property
    def down(self) -> FloatArray:
        """The direction in which the row number grows."""
        return np.array(self.orientation[3:])

    @property
    def normal(self) -> FloatArray:
        """The direction across the slices."""
        return np.cross(self.along, self.down)

    def same_grid(self, other: Plane) -> bool:
        """Whether both have the same directions, size and spacing."""
        if (self.rows, self.columns) != (other.rows, other.columns):
            return False
        mine = (*self.orientation, *self.spacing)
        yours = (*other.orientation, *other.spacing)
        return mine == yours or all(
            abs(one - another) <= ALIKE for one, another in zip(mine, yours, strict=True)
        )

    def plain(self) -> list[Any]:
        """The same as a list for JSON, in the order of the arguments."""
        return [
            list(self.position), list(self.orientation), self.rows, self.columns,
            list(self.spacing), list(self.words), list(self.numbers), self.acquisition,
        ]  # fmt: skip

    @classmethod
    def of(cls, plain: list[Any]) -> Plane:
        """Read what `plain` wrote."""
        position, orientation, rows, columns, spacing, words, numbers, acquisition = plain
        return cls(
            tuple(position), tuple(orientation), rows, columns,
            tuple(spacing), tuple(words), tuple(numbers), acquisition,
        )  # fmt: skip
