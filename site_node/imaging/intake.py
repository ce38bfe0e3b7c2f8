"""A folder becomes a list of regular files, each known by the SHA-256 of its bytes.

Links are never followed and nothing but a regular file is opened: a named pipe called `x.dcm`
blocks a plain `open` for ever (tried). The source is never changed, and no path is ever built from
what a file says.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from compliance.errors import NotReady

BLOCK = 1 << 20


@dataclass(frozen=True)
class Found:
    """One regular file: where it lies below the source, its size and the hash of its bytes."""

    relative: bytes
    path: bytes
    size: int
    sha256: str


@dataclass
class Walk:
    """Everything in a folder; what is no regular file or cannot be opened is counted."""

    files: list[Found] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    @property
    def seen(self) -> int:
        """Every entry that was looked at."""
        return len(self.files) + self.skipped.total()


def open_regular(path: bytes) -> BinaryIO:
    """Open a regular file for reading, and nothing else.

    Raises:
        FileNotFoundError: it is gone, or is no regular file any more.
        OSError: it cannot be read.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(path)
    return os.fdopen(handle, "rb")


def walk_folder(source: Path, leave_out: Path | None = None) -> Walk:
    """List every file below a folder, hashed, in the order of the hashes.

    Args:
        source: the folder.
        leave_out: one file that is no image although it may lie there: the labels.

    Raises:
        NotReady: the folder is missing, no folder, or cannot be listed.
    """
    root = os.fsencode(source)
    if not source.is_dir():
        raise NotReady(
            f"{source} is no folder.",
            "Name the folder with the DICOM files; unpack an archive first.",
        )
    if not os.access(root, os.R_OK | os.X_OK):
        raise NotReady(f"{source} may not be read.", "Give this user read access to it.")
    labels = _file_id(leave_out)
    walk = Walk()

    def unreadable(_: OSError) -> None:
        walk.skipped["unreadable"] += 1

    for folder, folders, names in os.walk(root, onerror=unreadable):
        linked = [name for name in folders if os.path.islink(os.path.join(folder, name))]  # noqa: PTH114, PTH118 - bytes paths
        walk.skipped["not_a_file"] += len(linked)
        for name in names:
            _look(os.path.join(folder, name), root, labels, walk)  # noqa: PTH118 - bytes paths
    walk.files.sort(key=lambda file: (file.sha256, file.relative))
    walk.skipped = +walk.skipped
    return walk


def _look(path: bytes, root: bytes, labels: tuple[int, int] | None, walk: Walk) -> None:
    try:
        status = os.lstat(path)
        if not stat.S_ISREG(status.st_mode):
            walk.skipped["not_a_file"] += 1
        elif (status.st_dev, status.st_ino) == labels:
            walk.skipped["labels_file"] += 1
        else:
            relative = os.path.relpath(path, root)
            walk.files.append(Found(relative, path, status.st_size, _hash(path)))
    except OSError:
        walk.skipped["unreadable"] += 1


def _hash(path: bytes) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _file_id(path: Path | None) -> tuple[int, int] | None:
    if path is None or not path.exists():
        return None
    status = path.stat()
    return status.st_dev, status.st_ino
