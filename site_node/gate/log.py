"""The site's log for machines: a JSON object for each line of the journal, five fields and no more.

Number, time, kind, study and rule are closed words, numbers and ids. What a line of the journal
tells besides (sentences, names, paths) stays in the database: a log is read by more people, and is
carried further, than anything else of a machine.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from site_node.store import journal as table
from site_node.store.journal import Sessions

FIELDS = ("id", "at", "kind", "study", "rule")


class Log:
    """Follows the journal, whichever process writes it, from now on.

    Args:
        sessions: the site's database.
        out: prints one line.
    """

    def __init__(self, sessions: Sessions, out: Callable[[str], None]) -> None:
        self._sessions, self._out = sessions, out
        with sessions() as session:
            self._last = table.last_id(session)

    def tend(self, *, needed: bool) -> None:
        """Print what is new, when it is needed."""
        if not needed:
            return
        with self._sessions() as session:
            rows = table.lines_after(session, self._last)
        for row in rows:
            self._out(json.dumps({name: getattr(row, name) for name in FIELDS}))
            self._last = row.id

    def stop(self) -> None:
        """Print what came last."""
        self.tend(needed=True)
