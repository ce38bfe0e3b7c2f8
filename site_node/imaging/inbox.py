"""The inbox: what a PACS sent or handed over, kept by the SHA-256 of its bytes.

A file is whole or not there: it is written beside, synced, renamed, and only then answered for. A
line per arrival says under which keyed instance number the content came, so that a pull does not
fetch it again; the line is a convenience, and losing one costs one transfer.

Source: design/imaging.md §3.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from site_node.imaging.intake import BLOCK, Found, Walk, open_regular

NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)
ENDING = ".dcm"
ARRIVALS = "arrivals.txt"


@dataclass
class Fetched:
    """What a query named and what became of it; `hashes` are the contents that are here now."""

    named: int = 0
    here_before: int = 0
    received: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    hashes: set[str] = field(default_factory=set)

    def plain(self) -> dict[str, Any]:
        """The counts; `named` is the sum of the others."""
        return {
            "named": self.named,
            "here_before": self.here_before,
            "received": self.received,
            **{f"not_received_{why}": n for why, n in sorted(self.missing.items())},
        }


class Inbox:
    """The files of one site that came over the network, and those of them in quarantine.

    Args:
        home: folder of the site.
    """

    def __init__(self, home: Path) -> None:
        self._inbox, self._quarantine = home / "inbox", home / "quarantine"

    def ready(self, work: Path) -> None:
        """Make the folders; `work` is emptied: what lies there was never answered for."""
        shutil.rmtree(work, ignore_errors=True)
        for folder in (self._inbox, self._quarantine, work):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def take(self, path: Path, instance: str) -> str:
        """Keep a whole file on disk for good under its hash; returns the hash.

        Args:
            path: the file, on the same disk; it is moved.
            instance: keyed stand-in of its instance number.
        """
        digest = hashlib.sha256()
        with open_regular(os.fsencode(path)) as file:
            while block := file.read(BLOCK):
                digest.update(block)
            os.fsync(file.fileno())
        sha256 = digest.hexdigest()
        if self.path_of(sha256) is None:
            target = self._place(sha256)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o600)
            path.replace(target)
            _sync(target.parent)
        self._note(instance, sha256)
        return sha256

    def path_of(self, sha256: str) -> Path | None:
        """Where a content lies: in the inbox or in quarantine; None when it is not here."""
        for path in (self._place(sha256), self._quarantine / sha256):
            if path.is_file():
                return path
        return None

    def arrived(self) -> dict[str, set[str]]:
        """By keyed instance number, the contents that came under it and are still here."""
        found: dict[str, set[str]] = defaultdict(set)
        path = self._inbox / ARRIVALS
        lines = path.read_text("ascii", "replace").splitlines() if path.exists() else []
        for line in lines:
            instance, _, sha256 = line.partition(" ")
            if NAME.fullmatch(sha256) and self.path_of(sha256):
                found[instance].add(sha256)
        return found

    def walk(self, only: set[str] | None = None) -> Walk:
        """List what is here, in the order of the hashes; a name is believed, the reader checks.

        Args:
            only: leave out every content but these; None leaves out nothing.
        """
        walk = Walk()
        paths = [*self._inbox.glob(f"[0-9a-f][0-9a-f]/*{ENDING}"), *self._quarantine.glob("*")]
        for path in paths:
            sha256 = path.name.removesuffix(ENDING)
            if NAME.fullmatch(sha256) and (only is None or sha256 in only):
                where, size = os.fsencode(path), path.lstat().st_size
                walk.files.append(Found(os.fsencode(path.name), where, size, sha256))
        walk.files.sort(key=lambda file: file.sha256)
        return walk

    def sort(self, *, held: set[str], out: set[str]) -> None:
        """Move what a dataset holds into the inbox and what none holds into quarantine."""
        for sha256 in held:
            self._move(self._quarantine / sha256, self._place(sha256))
        for sha256 in out:
            self._move(self._place(sha256), self._quarantine / sha256)

    def drop(self, sha256: str) -> bool:
        """Delete the bytes of one file in quarantine; says whether it was there."""
        path = self._quarantine / sha256
        there = path.is_file()
        path.unlink(missing_ok=True)
        return there

    def forget(self, sha256: str) -> bool:
        """Delete the bytes of one file of the inbox; says whether it was there."""
        path = self._place(sha256)
        there = path.is_file()
        path.unlink(missing_ok=True)
        return there

    def expire(self, now: float, days: int, most_bytes: int) -> int:
        """Delete what was in quarantine too long, then the oldest until the rest fits; how many.

        Args:
            now: seconds since 1970.
            days: how long a file may stay.
            most_bytes: how much all of them may take.
        """
        files = [(path.stat().st_mtime, path.stat().st_size, path)
                 for path in self._quarantine.glob("*") if NAME.fullmatch(path.name)]  # fmt: skip
        total, gone = sum(size for _, size, _ in files), 0
        for since, size, path in sorted(files):
            if now - since <= days * 86400 and total <= most_bytes:
                break
            path.unlink(missing_ok=True)
            total, gone = total - size, gone + 1
        return gone

    def _place(self, sha256: str) -> Path:
        return self._inbox / sha256[:2] / f"{sha256}{ENDING}"

    def _move(self, path: Path, target: Path) -> None:
        if path.is_file():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.replace(target)
            os.utime(target)

    def _note(self, instance: str, sha256: str) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        handle = os.open(self._inbox / ARRIVALS, flags, 0o600)
        with os.fdopen(handle, "ab", buffering=0) as file:
            file.write(f"{instance} {sha256}\n".encode())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
