"""What was copied before, so that a second run goes on: one line per file, kept in the home.

A line knows its file by a keyed hash; what it says of it are names of copies, tags and counts. A
line that a crash cut in two is not believed, and its file is copied again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = "deidentified"


class CopyLedger:
    """The lines of one target folder.

    Args:
        home: folder of the site.
        name: of the target, keyed.
    """

    def __init__(self, home: Path, name: str) -> None:
        folder = home / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / f"{name}.jsonl"
        self.lines = self._read()

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
        self.lines |= {line["file"]: line for line in told}

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self._path, len(whole))
        return {line["file"]: line for line in map(json.loads, whole.splitlines())}
