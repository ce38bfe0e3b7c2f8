"""A file that is there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, data: bytes | memoryview, part: Path | None = None) -> None:
    """Write under another name, make it durable, then rename: no end of the program halves it.

    Args:
        path: the file, mode 0600.
        data: what it will hold.
        part: the other name, on the same disk; without it the suffix `.part` beside the file.
    """
    part = part or path.with_suffix(".part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
