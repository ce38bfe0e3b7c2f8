"""Files that are named by the SHA-256 of what they hold: numbers that go along with a row."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from compliance.canonical import sha256_id
from site_node.store.whole import write_whole


class NamedFiles:
    """The files of one folder, which is made with the first of them (0700).

    Args:
        folder: theirs alone.
        suffix: of every name, by what the numbers are.
    """

    def __init__(self, folder: Path, suffix: str = ".f32") -> None:
        self._folder, self._suffix = folder, suffix

    def write(self, data: bytes) -> str:
        """Keep these bytes; returns their hash. A file that was damaged is written anew."""
        name = sha256_id(data)
        if self.read(name) is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._path(name), data)
        return name

    def read(self, name: str) -> bytes | None:
        """What has this hash; None when it is gone or damaged."""
        try:
            data = self._path(name).read_bytes()
        except FileNotFoundError:
            return None
        return data if sha256_id(data) == name else None

    def keep(self, names: Iterable[str]) -> None:
        """Remove every file but these."""
        kept = {self._path(name) for name in names}
        for path in self._folder.glob("*"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def keep_newest(self, most: int) -> None:
        """Remove every file but the newest ones."""
        files = self._folder.glob(f"*{self._suffix}")
        for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)[:-most]:
            path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.removeprefix('sha256:')}{self._suffix}"
