"""What a server step remembers between rounds: moments, float64, as long as the parameters.

On disk one file a round: a line that names the moments, the arrays, and the SHA-256 of it all at
the end. A file whose end does not fit is damaged, and no model is made from it.

Source: design/federation.md §3.3, §6.3.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO, Protocol

from compliance import canonical
from compliance.errors import ConsiliumError, NotReady
from hub.federation.aggregation.rule import DoubleArray

_BYTES, _DIGEST, _PIECE = 8, 32, 1 << 20
MAGIC = b"consilium/state/v1\n"


class Moments(Protocol):
    """Where the moments of the round before are read from."""

    def read(self, name: str, start: int, stop: int, into: DoubleArray) -> None:
        """Copy values start to stop of a moment into the first places of a buffer."""


class MomentSink(Protocol):
    """Where the moments of this round are written."""

    def write(self, name: str, start: int, stop: int, values: DoubleArray) -> None:
        """Take values start to stop of a moment from the first places of a buffer."""


class NoMoments:
    """Before the first round every moment is zero; written values go nowhere."""

    def read(self, name: str, start: int, stop: int, into: DoubleArray) -> None:
        """Zeros."""
        into[: stop - start] = 0.0

    def write(self, name: str, start: int, stop: int, values: DoubleArray) -> None:
        """Forget."""


class FileMoments:
    """Moments in a file that was checked once.

    Args:
        path: of the file.
        names: of the moments that must be in it.
        count: values of each.

    Raises:
        NotReady: the file is missing, damaged, or holds other moments.
    """

    def __init__(self, path: Path, names: Sequence[str], count: int) -> None:
        self._path, self._count = path, count
        head = _head(names, count)
        self._begin = {name: len(head) + place * count * _BYTES for place, name in enumerate(names)}
        whole = len(head) + len(names) * count * _BYTES + _DIGEST
        if not path.is_file() or path.stat().st_size != whole or not _sound(path, head):
            raise not_here()

    def read(self, name: str, start: int, stop: int, into: DoubleArray) -> None:
        """Copy values start to stop.

        Raises:
            NotReady: the file became shorter.
        """
        piece, at = into[: stop - start].view("<f8"), self._begin[name] + start * _BYTES
        with self._path.open("rb", buffering=0) as file:
            if os.preadv(file.fileno(), [piece.data.cast("B")], at) != len(piece) * _BYTES:
                raise not_here()


class FileMomentSink:
    """A new file of moments; its SHA-256 is put at the end when it is closed.

    Args:
        path: of the file; an older one is overwritten.
        names: of the moments.
        count: values of each.
    """

    def __init__(self, path: Path, names: Sequence[str], count: int) -> None:
        head = _head(names, count)
        self._begin = {name: len(head) + place * count * _BYTES for place, name in enumerate(names)}
        self._end = len(head) + len(names) * count * _BYTES
        self._file = path.open("w+b", buffering=0)
        self._file.write(head)

    def __enter__(self) -> FileMomentSink:
        """Write inside a `with`."""
        return self

    def __exit__(self, *_: object) -> None:
        """Put it on the disk with its hash."""
        self._file.seek(0)
        digest = hashlib.sha256()
        for piece in _pieces(self._file, self._end):
            digest.update(piece)
        self._file.seek(self._end)
        self._file.write(digest.digest())
        os.fsync(self._file.fileno())
        self._file.close()

    def write(self, name: str, start: int, stop: int, values: DoubleArray) -> None:
        """Take values start to stop."""
        rest = values[: stop - start].astype("<f8", copy=False).data.cast("B")
        at = self._begin[name] + start * _BYTES
        while rest:
            done = os.pwrite(self._file.fileno(), rest, at)
            rest, at = rest[done:], at + done


def state_sha256(path: Path) -> str:
    """Name the state in a file: the SHA-256 that stands at its end, as `FileMoments` checked it."""
    with path.open("rb") as file:
        file.seek(-_DIGEST, os.SEEK_END)
        return "sha256:" + file.read().hex()


def not_here() -> ConsiliumError:
    """The finding that a study cannot go on without its server state."""
    return NotReady(
        "store.missing: the server step's state of the last round is missing or damaged.",
        "Restore the hub's home from a backup, or close the study at its last model.",
    )


def _head(names: Sequence[str], count: int) -> bytes:
    return MAGIC + canonical.encode({"count": count, "moments": list(names), "v": 1}) + b"\n"


def _sound(path: Path, head: bytes) -> bool:
    digest, end = hashlib.sha256(), path.stat().st_size - _DIGEST
    with path.open("rb", buffering=0) as file:
        if file.read(len(head)) != head:
            return False
        file.seek(0)
        for piece in _pieces(file, end):
            digest.update(piece)
        return file.read(_DIGEST) == digest.digest()


def _pieces(file: BinaryIO | RawIOBase, end: int) -> Iterator[bytes]:
    left = end
    while left:
        piece = file.read(min(_PIECE, left)) or b""
        if not piece:
            return
        left -= len(piece)
        yield piece
