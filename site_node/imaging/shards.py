"""The arrays of a dataset on disk: raw, little-endian, append-only; rows never move.

`g0-0000.u16` holds rows of C·H·W (or C·D·H·W) values in C order without a header, at most 1 GiB per
file; `u8` are masks. What is not in the database's count is not there: a crash costs the
uncommitted tail, which is cut off before the next import writes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from compliance.errors import NotReady
from site_node.store import shards as table
from site_node.store.journal import Sessions

MOST_BYTES = 1 << 30
MARGIN = 1.2
IMAGES, MASKS = "u16", "u8"


def rows_per_file(row_bytes: int) -> int:
    """How many rows fit one file."""
    return max(1, MOST_BYTES // row_bytes)


def shard_path(folder: Path, family: int, number: int, kind: str = IMAGES) -> Path:
    """The file with this number of a family."""
    return folder / f"g{family}-{number:04d}.{kind}"


class Shards:
    """One family of array files, opened for appending.

    Args:
        folder: the dataset's folder.
        family: number of the family.
        row_bytes: size of one image.
        rows: how many rows are committed.
        kind: ending of the files: `u16` for images, `u8` for masks.
    """

    def __init__(
        self, *, folder: Path, family: int, row_bytes: int, rows: int, kind: str = IMAGES
    ) -> None:
        self._folder, self._family, self._kind = folder, family, kind
        self._row_bytes, self.rows = row_bytes, rows
        self._per_file = rows_per_file(row_bytes)

    def cut(self) -> None:
        """Cut off whatever was written after the last commit."""
        for path in sorted(self._folder.glob(f"g{self._family}-*.{self._kind}")):
            number = int(path.stem.split("-")[1])
            keep = min(max(self.rows - number * self._per_file, 0), self._per_file)
            if keep == 0:
                path.unlink()
            elif path.stat().st_size > keep * self._row_bytes:
                os.truncate(path, keep * self._row_bytes)

    def append(self, images: Iterable[bytes]) -> int:
        """Write rows and make them durable; they count only once the database says so.

        Returns:
            The number of the first new row.

        Raises:
            NotReady: the disk is full; what was committed before stays as it is.
        """
        first = self.rows
        try:
            self._write(list(images))
        except OSError as error:
            self.rows = first
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                self.cut()
                raise disk_full(self._row_bytes) from error
            raise
        return first

    def _write(self, images: list[bytes]) -> None:
        while images:
            number, used = divmod(self.rows, self._per_file)
            part, images = images[: self._per_file - used], images[self._per_file - used :]
            path = shard_path(self._folder, self._family, number, self._kind)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "ab") as file:
                file.write(b"".join(part))
                file.flush()
                os.fsync(file.fileno())
            self.rows += len(part)


def open_shards(
    sessions: Sessions, folder: Path, dataset: str, recipe: str, row_bytes: int, kind: str = IMAGES
) -> Shards:
    """The shards of a dataset under a recipe, cut to what the database counts.

    Args:
        sessions: the site's database.
        folder: the dataset's folder.
        dataset: its name.
        recipe: names what its rows are.
        row_bytes: size of one row.
        kind: `u16` for images, `u8` for masks.
    """
    with sessions.begin() as session:
        row = table.family_of(session, dataset, recipe)
        family, rows = row.family, row.rows
    store = Shards(folder=folder, family=family, row_bytes=row_bytes, rows=rows, kind=kind)
    store.cut()
    return store


def check_room(free: int, needed: float) -> None:
    """Stop before writing what will not fit.

    Raises:
        NotReady: the disk is too full for it and a margin.
    """
    if free < int(needed * MARGIN):
        raise disk_full(int(needed * MARGIN))


def disk_full(needed: int) -> NotReady:
    """The sentence for a full disk."""
    return NotReady(
        f"the disk with the datasets is full; about {max(needed >> 20, 1)} MiB more are needed. "
        "What was imported before is kept.",
        "Free space, then run the same import again: it goes on where it stopped.",
    )


def sync_folder(folder: Path) -> None:
    """Make new names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
