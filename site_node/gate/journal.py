"""The journal: what this hospital wrote down for itself about all that was asked, answered, sent.

It may hold what never leaves (paths, reasons in words): nothing here is read by anything that
speaks to the hub.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from compliance.canonical import sha256_id
from compliance.records.types import time_text
from site_node.store import journal as table
from site_node.store.journal import Sessions, Transaction

Clock = Callable[[], datetime]
"""Returns the time now, with its zone; wiring binds the real one."""


class Journal:
    """Writes and reads this hospital's own record; a line is never changed or deleted.

    Args:
        sessions: the site's database.
        clock: the time now.
    """

    def __init__(self, *, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    def write(
        self, kind: str, *, study: str | None = None, rule: str | None = None, **data: Any
    ) -> None:
        """Write one line in a transaction of its own."""
        with self._sessions.begin() as session:
            self.within(session, kind, study=study, rule=rule, **data)

    def within(
        self,
        session: Transaction,
        kind: str,
        *,
        study: str | None = None,
        rule: str | None = None,
        **data: Any,
    ) -> None:
        """Write one line in the caller's transaction: state and record together or not at all."""
        at = time_text(self._clock())
        table.add_line(session, at=at, kind=kind, study=study, rule=rule, data=data)

    def sending(self, what: str, data: bytes, *, study: str | None = None) -> None:
        """Write down what is about to leave, before it leaves."""
        self.write("sent", study=study, what=what, bytes=len(data), sha256=sha256_id(data))

    def lines(self, *, study: str | None = None, limit: int = 200) -> list[dict[str, Any]]:
        """The newest lines, oldest of them first."""
        with self._sessions() as session:
            rows = table.read_lines(session, study=study, limit=limit)
            return [row.as_dict() for row in rows]

    def lines_of(self, kind: str) -> list[dict[str, Any]]:
        """Every line of one kind, oldest first."""
        with self._sessions() as session:
            return [row.as_dict() for row in table.lines_of(session, kind)]

    def count(self, *kinds: str, study: str | None = None, hours: float) -> int:
        """How many lines of these kinds the last hours hold."""
        since = time_text(self._clock() - timedelta(hours=hours))
        with self._sessions() as session:
            return table.count_lines(session, kinds=kinds, study=study, since=since)

    def count_since(self, kind: str, last: str, *, study: str | None = None) -> int:
        """How many lines of one kind came after the newest line of another kind."""
        with self._sessions() as session:
            return table.count_since(session, kind=kind, last=last, study=study)
