"""The spool: updates on disk from the moment they came until the round is closed.

A file is written whole or not at all. A round that a new ServerApp takes over finds here what the
hospitals have sent already.

Source: design/federation.md §3.3, §3.4.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from compliance.canonical import sha256_id


class Spool:
    """Files `<folder>/spool/<round>/<site>.f32` of one study.

    Args:
        folder: the study's folder at the hub.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "spool"

    def keep(self, number: int, site: str, values: bytes | memoryview) -> Path:
        """Write the values of an update."""
        path = self.path(number, site)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            file.write(values)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return path

    def find(self, number: int, site: str, update_sha256: str) -> Path | None:
        """The file of an update with this hash, if it is here."""
        path = self.path(number, site)
        if path.is_file() and sha256_id(path.read_bytes()) == update_sha256:
            return path
        return None

    def clear(self) -> None:
        """Remove what belongs to rounds that are over."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def path(self, number: int, site: str) -> Path:
        """Where an update lies; a site's name has letters, digits, dots and hyphens only."""
        return self._folder / str(number) / f"{site}.f32"
