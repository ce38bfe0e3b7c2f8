"""What a steward decides about files that an import left out: look again, or delete.

Looking again passes no check by: the outcome is taken back and the next import judges the file
like a new one. That is of use only where the reason may have been this machine's or this release's
and not the file's, so the list is closed.

Source: design/imaging.md §4.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.inbox import Inbox
from site_node.store import objects
from site_node.store.journal import Sessions, Transaction
from site_node.store.objects import ObjectRow

PREFIX = re.compile(r"[0-9a-f]{8,64}", re.ASCII)
SHOWN = 12
MAY_END_OTHERWISE = frozenset(
    (
        Quarantine.PARSE_TIMEOUT,
        Quarantine.PARSE_MEMORY,
        Quarantine.PARSER_CRASHED,
        Quarantine.DECODE_FAILED,
        Quarantine.CLASS_NOT_SUPPORTED,
        Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED,
    )
)
"""Reasons after which a second look may end otherwise: a busy machine, a newer release."""


class Ward:
    """Releases and drops files in quarantine.

    Args:
        home: folder of the site.
        sessions: the site's database.
        record: writes a line of the journal in a transaction.
    """

    def __init__(self, *, home: Path, sessions: Sessions, record: Callable[..., None]) -> None:
        self._inbox, self._sessions, self._record = Inbox(home), sessions, record

    def release(self, prefix: str, dataset: str | None = None) -> dict[str, Any]:
        """Take the outcome of one file back: the next import looks at it again.

        Raises:
            NotReady: no file or several begin so, or its reason is none to look again for.
        """
        with self._sessions.begin() as session:
            rows = self._one(session, prefix, dataset)
            for row in rows:
                if row.reason not in MAY_END_OTHERWISE:
                    raise NotReady(
                        f"{row.reason} is not released: a second look would end the same.",
                        "Correct the file at its source. Released are "
                        f"{', '.join(sorted(MAY_END_OTHERWISE))}.",
                    )
                objects.forget_outcome(session, row)
            return self._told(session, "quarantine.released", rows)

    def drop(self, prefix: str, dataset: str | None = None) -> dict[str, Any]:
        """Delete the bytes of one received file; its outcome stays on the list.

        Raises:
            NotReady: no file or several begin so, or it lies in a folder of yours and not here.
        """
        with self._sessions.begin() as session:
            rows = self._one(session, prefix, dataset)
            told = self._told(session, "quarantine.dropped", rows)
            if not self._inbox.drop(rows[0].sha256):
                raise NotReady(
                    f"the file {told['file']} does not lie in the quarantine of this site.",
                    "It came from a folder or an archive, which is never changed, or is gone.",
                )
            return told

    def _one(self, session: Transaction, prefix: str, dataset: str | None) -> list[ObjectRow]:
        """The outcomes of the one file whose hash begins so."""
        if not PREFIX.fullmatch(prefix):
            raise NotReady(
                f"{prefix!r} is no beginning of a file's SHA-256.",
                "Copy it from `consilium site quarantine`: 8 digits (0-9, a-f) or more.",
            )
        rows = objects.in_quarantine(session, prefix, dataset)
        if len({row.sha256 for row in rows}) != 1:
            found = "no file" if not rows else "more than one file"
            raise NotReady(
                f"{found} in quarantine begins with {prefix}.",
                "List them: consilium site quarantine.",
            )
        return rows

    def _told(self, session: Transaction, kind: str, rows: list[ObjectRow]) -> dict[str, Any]:
        told = {
            "file": rows[0].sha256[:SHOWN],
            "reasons": sorted({str(row.reason) for row in rows}),
            "datasets": sorted({row.dataset for row in rows}),
        }
        self._record(session, kind, **told)
        return told
