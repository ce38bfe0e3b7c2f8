"""The end of retention at a hospital: its copy of a study goes as a whole, its datasets stay.

The hub cannot do it and cannot prevent it. What is kept here counts: the day in the charter, and no
open case, by this hospital's own fold. That it was done stands in the own journal and, as a hash,
in the consortium's log.

Source: design/compliance.md §8.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from compliance.records.types import time_text
from compliance.rules.retention import may_end
from site_node.gate.hub_client import HubClient
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.mirror import CONSORTIUM, Mirror
from site_node.gate.statements import Statements
from site_node.gate.weights import Weights
from site_node.store import destroyed as table
from site_node.store import outbox
from site_node.store.journal import Sessions
from site_node.store.mirror import MirrorLog

PREFIX = 6


class Destruction:
    """Destroys what this hospital keeps of a study.

    Args:
        keys: the node key says that it was done.
        hub: the way out.
        mirror: the site's copies of the logs.
        statements: what this site says.
        sessions: the site's database.
        journal: the site's own record.
        folder: where updates that left are kept.
        weights: models that came in.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        keys: Keys,
        hub: Callable[[], HubClient],
        mirror: Mirror,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        folder: Path,
        weights: Weights,
        clock: Clock,
    ) -> None:
        self._keys, self._hub, self._mirror = keys, hub, mirror
        self._statements, self._sessions = statements, sessions
        self._journal, self._folder, self._clock = journal, folder, clock
        self._weights = weights

    def look(self, asked: str) -> dict[str, Any]:
        """What would go, if it may go now.

        Args:
            asked: begin of a study's id or of its charter's.

        Raises:
            NotReady: no such copy, the day has not come, or a case is open.
        """
        head = self._find(asked)
        state = self._mirror.state(head.study)
        answer = may_end(state, time_text(self._clock()))
        if isinstance(answer, NotReady):
            raise answer
        with self._sessions() as session:
            updates = table.update_hashes(session, head.study)
        return {
            "study": head.study,
            "title": state.charter.title,
            "charter_id": head.charter_id,
            "retention_until": state.charter.retention_until,
            "entries": head.size,
            "updates": len(updates),
            "alarms": len(self._mirror.alarms(head.study)),
        }

    def destroy(self, asked: str) -> dict[str, Any]:
        """Delete copy, statements, updates and decisions of a study for ever; never a dataset.

        Raises:
            NotReady: as `look`.
        """
        told = self.look(asked)
        head = self._find(told["study"])
        with self._sessions() as session:
            updates = table.update_hashes(session, head.study)
        for name in updates:  # files first: what a crash leaves is found by the rows again
            (self._folder / f"{name.removeprefix('sha256:')}.f32").unlink(missing_ok=True)
        self._weights.destroy(head.study)
        self._delete(head, told)
        self._mirror.forget(head.study)
        table.scrub(self._sessions)
        self._statements.deliver(self._hub())
        return told | {"on_record": self._statements.waiting() == 0}

    def _delete(self, head: MirrorLog, told: dict[str, Any]) -> None:
        now, note = time_text(self._clock()), self._said(head)
        with self._sessions.begin() as session:
            table.begin(session)
            row = table.DestroyedRow(
                study=head.study, charter_id=head.charter_id, size=head.size, root=head.root, at=now
            )
            table.destroy_rows(session, row)
            counts = {name: told[name] for name in ("entries", "updates", "alarms")}
            self._journal.within(session, "study.destroyed", study=head.study, **counts)
            if note is not None:
                self._statements.keep(session, note, study=CONSORTIUM, way=outbox.ENTRIES)

    def _said(self, head: MirrorLog) -> bytes | None:
        """That it was done, for the consortium's log; it names the charter by its hash."""
        state = self._mirror.consortium()
        if state is None:
            return None
        body = {"what": "study_records", "commitment": head.charter_id}
        log, key = state.agreement_id, self._keys.node
        return self._statements.seal("erasure.done", body, log=log, key=key)

    def _find(self, asked: str) -> MirrorLog:
        name = asked.removeprefix("sha256:")
        found = [
            head
            for head in self._mirror.heads()
            if head.study.startswith(asked) or head.charter_id[7:].startswith(name)
        ]
        if len(name) < PREFIX or len(found) != 1:
            raise NotReady(
                f"{asked!r} names no study of which this hospital keeps a copy.",
                "Give at least 6 characters of its id: consilium site studies.",
            )
        return found[0]
