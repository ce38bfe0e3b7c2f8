"""Where the numbers of a model or an update are read from: memory or a file, piece by piece."""

from __future__ import annotations

import os
import weakref
from dataclasses import dataclass
from functools import cached_property
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

    def write(self, start: int, stop: int, values: FloatArray) -> None:
        """Take values start to stop from the first places of a buffer."""
        self.array[start:stop] = values[: stop - start]


@dataclass(frozen=True)
class FileVector:
    """A vector in a file: float32, little-endian, nothing before or after."""

    path: Path

    @cached_property
    def _open(self) -> int:
        """The file, open as long as this vector lives: opening it for each chunk costs a tenth."""
        number = os.open(self.path, os.O_RDONLY)
        weakref.finalize(self, os.close, number)
        return number

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
        got = os.preadv(self._open, [piece.data.cast("B")], start * _BYTES)
        if got != (stop - start) * _BYTES:
            raise Malformed("vector file", "it ends before its last value")


class Sink(Protocol):
    """Where the numbers of a new model are written, piece by piece, from the first to the last."""

    @property
    def count(self) -> int:
        """Number of values."""

    def write(self, start: int, stop: int, values: FloatArray) -> None:
        """Take values start to stop from the first places of a buffer."""


class FileSink:
    """A new file of `count` float32 values, little-endian; complete when it is closed.

    Args:
        path: of the file; an older one is overwritten.
        count: values that it will hold.
    """

    def __init__(self, path: Path, count: int) -> None:
        self.count, self._file = count, path.open("wb", buffering=0)

    def __enter__(self) -> FileSink:
        """Write inside a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Put it on the disk."""
        os.fsync(self._file.fileno())
        self._file.close()

    def write(self, start: int, stop: int, values: FloatArray) -> None:
        """Take values start to stop from the first places of a buffer."""
        rest, at = values[: stop - start].astype("<f4", copy=False).data.cast("B"), start * _BYTES
        while rest:
            done = os.pwrite(self._file.fileno(), rest, at)
            rest, at = rest[done:], at + done
