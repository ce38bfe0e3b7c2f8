"""Where the numbers of a model or an update are read from: memory or a file, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.errors import Malformed

FloatArray: TypeAlias = NDArray[np.float32]

_BYTES = 4


class Vector(Protocol):
    """So many float32 values that can be read in pieces."""

    @property
    def count(self) -> int:
        """Number of values."""

    def read(self, start: int, stop: int, into: FloatArray) -> None:
        """Copy values start to stop into the first places of a buffer."""


@dataclass(frozen=True)
class ArrayVector:
    """A vector in memory, float32, one axis."""

    array: FloatArray

    def __post_init__(self) -> None:
        if self.array.dtype != np.float32 or self.array.ndim != 1:
            raise Malformed("vector", "it must be float32 with one axis")

    @property
    def count(self) -> int:
        """Number of values."""
        return len(self.array)

    def read(self, start: int, stop: int, into: FloatArray) -> None:
        """Copy values start to stop into the first places of a buffer."""
        into[: stop - start] = self.array[start:stop]


@dataclass(frozen=True)
class FileVector:
    """A vector in a file: float32, little-endian, nothing before or after."""

    path: Path

    @property
    def count(self) -> int:
        """Number of values.

        Raises:
            Malformed: the file does not end with a whole value.
        """
        values, rest = divmod(self.path.stat().st_size, _BYTES)
        if rest:
            raise Malformed("vector file", "its size is no multiple of four bytes")
        return values

    def read(self, start: int, stop: int, into: FloatArray) -> None:
        """Copy values start to stop into the first places of a buffer.

        Raises:
            Malformed: the file is shorter than it was.
        """
        piece = into[: stop - start].view("<f4")
        with self.path.open("rb", buffering=0) as file:
            file.seek(start * _BYTES)
            got = file.readinto(piece.data.cast("B"))
        if got != (stop - start) * _BYTES:
            raise Malformed("vector file", "it ends before its last value")
