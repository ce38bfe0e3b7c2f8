"""What was copied before, so that a second run goes on: one line per file, kept in the home.

A line knows its file by a keyed hash; what it says of it are names of copies, tags and counts. A
line that a crash cut in two is not believed, and its file is copied again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Set
from pathlib import Path
from typing import Any

FOLDER = "deidentified"


class CopyLedger:
    """The lines of one target folder; what was done to each file stays on disk.

    A list of tags for every file of a large hospital would fill the memory; in memory are only
    outcome, name and hash.

    Args:
        home: folder of the site.
        name: of the target, keyed.
    """

    def __init__(self, home: Path, name: str) -> None:
        folder = home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{name}.jsonl"
        self.lines: dict[str, dict[str, Any]] = {}
        self._last: dict[str, int] = {}
        self._count = 0
        self._cut()
        for line in self._read():
            self._keep(line)

    def names(self) -> dict[str, str]:
        """The hash of every copy by its file name."""
        return {line["name"]: line["sha256"] for line in self.lines.values() if "name" in line}

    def add(self, lines: Iterable[dict[str, Any]]) -> None:
        """Keep lines, durable before this returns."""
        told = list(lines)
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "ab") as file:
            file.write(b"".join(json.dumps(line).encode() + b"\n" for line in told))
            file.flush()
            os.fsync(file.fileno())
        for line in told:
            self._keep(line)

    def actions(self, files: Set[str]) -> Iterator[dict[str, Any]]:
        """What was done to each of these files, read from disk one by one."""
        for number, line in enumerate(self._read()):
            if line["file"] in files and self._last[line["file"]] == number and "actions" in line:
                yield line["actions"]

    def _keep(self, line: dict[str, Any]) -> None:
        """Remember a line without what was done; the newest of a file counts."""
        self.lines[line["file"]] = {key: line[key] for key in line.keys() - {"actions"}}
        self._last[line["file"]] = self._count
        self._count += 1

    def _cut(self) -> None:
        """Cut off half a line that a crash left."""
        if not self._path.exists():
            return
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            kept = 0
            for line in file:
                kept += len(line) if line.endswith(b"\n") else 0
        if kept < size:
            os.truncate(self._path, kept)

    def _read(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for line in file:
                yield json.loads(line)
