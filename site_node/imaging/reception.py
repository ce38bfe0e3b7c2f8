"""What a technician asks of the images: import, copies, the inbox, the quarantine.

Each act is a few lines: it puts the parts together, lets them work, and writes down what came of
it. The parts that meet DICOM are imported when they are needed: most commands never need them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from site_node.imaging.inbox import Inbox
from site_node.imaging.quarantine import Ward
from site_node.settings import Settings
from site_node.store.journal import Sessions

COPIED = ("files", "written", "quarantined", "skipped")
IMPORTED = ("files", "imported", "quarantined", "skipped")


@dataclass(frozen=True)
class Reception:
    """Takes images in.

    Args:
        settings: the site's settings.
        sessions: the site's database.
        write: writes a line of the journal.
        within: writes a line of the journal in the caller's transaction.
        clock: the time now.
        random: that many bytes nobody can guess.
    """

    settings: Settings
    sessions: Sessions
    write: Callable[..., None]
    within: Callable[..., None]
    clock: Callable[[], datetime]
    random: Callable[[int], bytes]

    def run_import(self, source: Path | str, **asked: Any) -> dict[str, Any]:
        """Import a source into a curated dataset; `asked` are the words of `site import`."""
        from site_node.imaging.importing import Importer, request_of

        fetch = self.fetch_of(source, asked.pop("query", []))
        importer = Importer(**self._place())
        progress = asked.pop("progress")
        asked["find_text"] = self.finds_text(asked.get("find_text"))
        told = importer.run(request_of(source, fetch=fetch, **asked), progress)
        if "pacs" in told:
            self.write("fetched", dataset=told["dataset"], **told["pacs"])
        self.expire_quarantine()
        counts = {name: told[name] for name in IMPORTED}
        self.write("imported", dataset=told["dataset"], version=told["version"], **counts)
        return told

    def _place(self) -> dict[str, Any]:
        """Where an import keeps what it takes in, and in whose name."""
        from site_node.imaging.croissant import Holder

        settings, day = self.settings, f"{self.clock():%Y-%m-%d}"
        return {
            "home": settings.home,
            "sessions": self.sessions,
            "floor": max(settings.min_cell, 1),
            "random": self.random,
            "holder": Holder(settings.site or "", settings.title, tuple(settings.duo), day),
        }

    def run_table(self, table: Path, **asked: Any) -> dict[str, Any]:
        """Import a table into a curated dataset; `asked` are the words of `site import --table`."""
        from site_node.imaging.tabular.importing import TableImporter

        importer = TableImporter(**self._place())
        told = importer.run(table, **asked)
        counts = {name: told[name] for name in ("rows", *IMPORTED[1:])}
        self.write("table.imported", dataset=told["dataset"], version=told["version"], **counts)
        return told

    def run_deidentify(self, source: Path | str, out: Path, **asked: Any) -> dict[str, Any]:
        """Write de-identified copies; `asked` are the words of `site deidentify`."""
        from site_node.imaging.copying import Copier, Request

        progress = asked.pop("progress")
        asked["find_text"] = self.finds_text(asked.get("find_text"))
        fetch = self.fetch_of(source, asked.pop("query", []))
        copier = Copier(home=self.settings.home, random=self.random)
        told = copier.run(Request(source, out, fetch=fetch, **asked), progress)
        if "pacs" in told:
            self.write("fetched", **told["pacs"])
        counts = {name: told[name] for name in COPIED}
        self.write("deidentified", profile=told["profile"], **counts)
        return told

    def finds_text(self, asked: bool | None) -> bool:  # noqa: FBT001 - the word of the command
        """Whether text in pictures is looked for: as the command says, else as the setting does."""
        return self.settings.text_detection == "on" if asked is None else asked

    def fetch_of(self, source: Path | str, query: list[str]) -> Any:
        """What brings files from the PACS first, when that is the source."""
        from site_node.imaging.sources import PACS

        if source != PACS and not query:
            return None
        from site_node.imaging.pacs_client import fetch_of

        return fetch_of(source, query, self.settings, self.random)

    def expire_quarantine(self) -> None:
        """Delete received files that were in quarantine too long, or are too many; on record."""
        settings, now = self.settings, self.clock().timestamp()
        most = settings.quarantine_gb << 30
        if gone := Inbox(settings.home).expire(now, settings.quarantine_days, most):
            self.write("quarantine.expired", files=gone)

    @property
    def ward(self) -> Ward:
        """Releases and drops files in quarantine."""
        return Ward(home=self.settings.home, sessions=self.sessions, record=self.within)

    def thin_inbox(self) -> dict[str, int]:
        """Delete received files that a dataset holds already; on record."""
        from site_node.imaging.thinning import thin

        files, freed = thin(self.settings.home, self.sessions)
        self.write("inbox.thinned", files=files, bytes=freed)
        return {"deleted": files, "freed": freed}

    def inbox_told(self) -> dict[str, int]:
        """How many received files are here, and how many of them a dataset holds."""
        from site_node.imaging.thinning import tell

        return tell(self.settings.home, self.sessions)
