"""Where files come from: a folder, an archive, the inbox, or the hospital's own PACS.

The import and the copies read the same sources in the same way.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from compliance.errors import NotReady
from site_node.imaging.archive import walk_archive
from site_node.imaging.inbox import Fetched, Inbox
from site_node.imaging.intake import Walk, walk_folder

INBOX, PACS = "inbox", "pacs"

Progress: TypeAlias = Callable[[str, float], None]
Fetch: TypeAlias = Callable[[Progress], Fetched]


@dataclass(frozen=True)
class Source:
    """What a technician named.

    `fetch` brings files into the inbox first and names their hashes: only those are walked.
    """

    named: Path | str
    fetch: Fetch | None = None

    @property
    def received(self) -> bool:
        """Whether the files lie in the inbox, because they came over the network."""
        return self.named in (INBOX, PACS)

    def place(self, home: Path) -> Path:
        """The folder or archive in which the files lie."""
        return home / INBOX if self.received else Path(self.named)

    def walk(
        self,
        home: Path,
        *,
        work: Path,
        free: Callable[[Path], int],
        progress: Progress,
        leave_out: Path | None = None,
    ) -> tuple[Walk, Fetched | None]:
        """List every file by content, and what the PACS named.

        Args:
            home: folder of the site.
            work: an empty folder of ours, for the members of an archive.
            free: free bytes on the disk of a folder.
            progress: told how far fetching is.
            leave_out: one file that is no image although it may lie there.

        Raises:
            NotReady: there is no file, or the source cannot be read.
        """
        fetched = self.fetch(progress) if self.fetch else None
        if self.received:
            walk = Inbox(home).walk(fetched.hashes if fetched else None)
        elif Path(self.named).is_file():
            walk = walk_archive(Path(self.named), work, free)
        else:
            walk = walk_folder(Path(self.named), leave_out=leave_out)
        if not walk.files:
            raise self._empty(fetched)
        return walk, fetched

    def _empty(self, fetched: Fetched | None) -> NotReady:
        if self.named == INBOX:
            return NotReady(
                "nothing has arrived in the inbox.",
                "Set scp_allow and run `consilium site serve`, then send from the PACS.",
            )
        if fetched is None:
            return NotReady(
                f"{self.named} holds no file to read.",
                "Name the folder into which the PACS exported, then try again.",
            )
        why = ", ".join(f"{reason} {n}" for reason, n in sorted(fetched.missing.items()))
        return NotReady(
            f"the PACS names {fetched.named} objects for this query and none came"
            f"{f' ({why})' if why else ''}.",
            "Ask for less or for something else; with `pacs_retrieve` move, `site serve` must run.",
        )


@contextlib.contextmanager
def working(home: Path) -> Iterator[Path]:
    """A folder of ours that is empty at the beginning and at the end, however it ends."""
    work = home / "work"
    _empty(work)
    try:
        yield work
    finally:
        _empty(work)


def _empty(work: Path) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700, exist_ok=True)
