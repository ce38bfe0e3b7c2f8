"""What an import came to, file by file, and the lock that lets one import run at a time."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.imaging.intake import Found, Walk
from site_node.store.objects import HELD, QUARANTINED, SEGMENTATION, SKIPPED_BECAUSE, ObjectRow

IMPORTED, QUARANTINE, SKIPPED = "imported", "quarantined", "skipped"


@dataclass
class Tally:
    """Exactly one outcome per file that was seen."""

    seen: int = 0
    imported: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    listed: list[tuple[bytes, str]] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        """The same as plain values; `files` is the sum of the three below it."""
        return {
            "files": self.seen,
            IMPORTED: self.imported,
            QUARANTINE: self.reasons.total(),
            SKIPPED: self.skipped.total(),
            "reasons": dict(sorted(self.reasons.items())),
            "skipped_because": dict(sorted(self.skipped.items())),
        }


def tally(walk: Walk, rows: dict[str, ObjectRow], gone: dict[str, str]) -> Tally:
    """Give every file of a folder its one outcome.

    Args:
        walk: what was seen.
        rows: outcomes by content hash.
        gone: files that vanished or changed while they were read, by content hash.
    """
    found = Tally(seen=walk.seen, skipped=Counter(walk.skipped))
    before: set[str] = set()
    for file in walk.files:
        row = rows.get(file.sha256)
        if file.sha256 in before:
            found.skipped["duplicate_bytes"] += 1
        elif row is None:
            found.skipped[gone.get(file.sha256, "vanished")] += 1
        else:
            _count(found, file, row)
        before.add(file.sha256)
    return found


def _count(found: Tally, file: Found, row: ObjectRow) -> None:
    reason = row.stays_out
    if reason in SKIPPED_BECAUSE:
        found.skipped[str(reason)] += 1
    elif row.outcome == QUARANTINED or reason:
        found.reasons[str(reason)] += 1
        found.listed.append((file.relative, str(reason)))
    elif row.outcome == SEGMENTATION and row.label is None:
        found.skipped["segmentation_unused"] += 1
    elif row.outcome not in (HELD, SEGMENTATION):
        found.skipped[row.outcome] += 1
    elif row.label is None:
        found.skipped["no_label"] += 1
    else:
        found.imported += 1


def write_list(path: Path, listed: Sequence[tuple[bytes, str]]) -> None:
    """Write which file stayed out and why; mode 0600, because paths often hold names."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "reason"))
        writer.writerows((os.fsdecode(relative), reason) for relative, reason in listed)
    partial.replace(path)


@contextlib.contextmanager
def only_one_import(home: Path) -> Iterator[None]:
    """Let one import run at a time in a home; the lock ends with the process, however it ends.

    Raises:
        NotReady: another one runs.
    """
    handle = os.open(home / "import.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise NotReady(
                f"another import is running here (process {holder}).", "Wait until it is done."
            ) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
