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
        return self._write(self.path(number, site), values)

    def keep_paper(self, number: int, site: str, name: str, data: bytes) -> None:
        """Write what came beside a masked update; before its values, which alone say it is here."""
        self._write(self.beside(number, site, name), data)

    def paper(self, number: int, site: str, name: str) -> bytes:
        """What came beside a masked update; empty when it is not here."""
        path = self.beside(number, site, name)
        return path.read_bytes() if path.is_file() else b""

    def _write(self, path: Path, values: bytes | memoryview) -> Path:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.part")
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

    @property
    def folder(self) -> Path:
        """Where everything of a round lies until it is over."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self._folder

    def clear(self) -> None:
        """Remove what belongs to rounds that are over."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def beside(self, number: int, site: str, name: str) -> Path:
        """Where a paper of an update lies."""
        return self._folder / str(number) / f"{site}.{name}"

    def path(self, number: int, site: str) -> Path:
        """Where an update lies; a site's name has letters, digits, dots and hyphens only."""
        return self._folder / str(number) / f"{site}.f32"
