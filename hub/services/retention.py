"""The end of retention: the records of a study go as a whole, by two people, after the agreed day.

One administrator asks, another confirms within a week, about the very log that the first one saw.
With the second yes the rows go in one transaction, together with `erasure.done` in the consortium's
log; then the files. A hub that is killed in between removes the files at its next start.

Source: design/compliance.md §8.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from compliance.errors import NotReady
from compliance.rules.retention import days_left, legal_holds, may_destroy
from compliance.rules.state import StudyState
from hub.services.accounts import Person
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService
from hub.services.logbook import CONSORTIUM
from hub.storage import accounts
from hub.storage import tombstones as rows
from hub.storage.database import Database, Transaction

PREPARE, DESTROY = "study.destroy.prepare", "study.destroy"
DAYS = 7
KEPT, HELD, DUE, PREPARED, DESTROYED = "kept", "held", "due", "prepared", "destroyed"
Sweep = Callable[[str], None]


class RetentionService:
    """Says how long records are kept, and ends it.

    Args:
        database: keeps tombstones.
        ledger: the logs.
        sweeps: each removes one kind of a study's files; called again until all have come through.
        clock: the time now.
    """

    def __init__(
        self, *, database: Database, ledger: LedgerService, sweeps: tuple[Sweep, ...], clock: Clock
    ) -> None:
        self._database, self._ledger = database, ledger
        self._sweeps, self._clock = sweeps, clock

    def all(self) -> list[dict[str, Any]]:
        """Every study: until when its records are kept, what holds them, what goes and when.

        Studies whose records are gone are among them, with their tombstone.
        """
        with self._database.reading() as session:
            stones = {row.study: row for row in rows.all_tombstones(session)}
        told = [
            self._ledger.ask(study, partial(self._study, study, stones.get(study)))
            for study in self._ledger.studies()
        ]
        return told + [_plain(row) for row in stones.values() if row.destroyed_at]

    def prepare(self, study: str, person: Person) -> dict[str, Any]:
        """The first yes: nothing is destroyed, another administrator has a week to confirm.

        Raises:
            NotReady: it is too early, or a legal hold keeps the records.
        """
        with self._ledger.writing(study) as session:
            known = rows.find_tombstone(session, study)
            if known is not None and known.destroyed_at:
                return _plain(known)
            state, now = self._state(session, study), text_of(self._clock)
            self._must(may_destroy(state, now, (str(person.number), "another")))
            row = rows.TombstoneRow(
                study=study,
                charter_id=state.charter_id,
                size=state.size,
                root=state.root().hex(),
                prepared_by=person.number,
                prepared_at=now,
            )
            rows.keep_tombstone(session, row)
            _operation(session, now, person, "destruction.prepared", study)
            return _plain(row)

    def destroy(self, study: str, person: Person) -> dict[str, Any]:
        """The second yes: the records of this study go, for ever; a repetition changes nothing.

        Raises:
            NotReady: too early, a legal hold, nobody else has asked for it, or it is not the log
                that the first one saw.
        """
        self._ledger.consortium()
        with self._ledger.writing(study, CONSORTIUM) as session:
            row = rows.find_tombstone(session, study)
            if row is None or not row.destroyed_at:
                row = self._destroy(session, study, person, row)
            told = _plain(row)
        self._ledger.forget(study)
        self.sweep()
        return told

    def sweep(self) -> None:
        """Remove the files of every study whose rows are gone; what was interrupted is finished."""
        with self._database.reading() as session:
            left = [
                row.study
                for row in rows.all_tombstones(session)
                if row.destroyed_at and not row.swept_at
            ]
        for study in left:
            for remove in self._sweeps:
                remove(study)
            with self._database.transaction("tombstones") as session:
                row = rows.find_tombstone(session, study)
                if row is not None:
                    row.swept_at = text_of(self._clock)
        if left:
            self._database.scrub(*rows.TOUCHED)

    def _destroy(
        self, session: Transaction, study: str, person: Person, row: rows.TombstoneRow | None
    ) -> rows.TombstoneRow:
        state, now = self._state(session, study), text_of(self._clock)
        people = [person.number] if row is None else self._people(session, row, person)
        self._must(may_destroy(state, now, [str(number) for number in people]))
        if row is None or (row.size, row.root) != (state.size, state.root().hex()):
            raise NotReady(
                "the log has grown since the first administrator asked.",
                "Look at it again: one of you asks anew, then the other confirms.",
            )
        self._ledger.close_listing(session, study)
        body = {"what": "study_records", "commitment": state.charter_id}
        self._ledger.say_in(session, CONSORTIUM, "erasure.done", body)
        rows.destroy_rows(session, study, (PREPARE, DESTROY))
        row.confirmed_by, row.destroyed_at = person.number, now
        _operation(session, now, person, "study.destroyed", study)
        return row

    def _people(self, session: Transaction, row: rows.TombstoneRow, person: Person) -> list[int]:
        """Who agrees now: the first yes counts for a week, and while its giver is one of us."""
        since = self._clock() - datetime.fromisoformat(row.prepared_at)
        roles = [grant.role for grant in accounts.grants_of(session, row.prepared_by)]
        first = [row.prepared_by] if "admin" in roles and since <= timedelta(days=DAYS) else []
        return [*first, person.number]

    def _state(self, session: Transaction, study: str) -> StudyState:
        state = self._ledger.state_in(session, study)
        if not isinstance(state, StudyState):
            raise NotReady(
                f"there is no log of a study {study}.", "List them: consilium hub retention."
            )
        return state

    def _must(self, answer: object) -> None:
        if isinstance(answer, NotReady):
            raise answer

    def _study(
        self, study: str, stone: rows.TombstoneRow | None, state: StudyState
    ) -> dict[str, Any]:
        now, holds = text_of(self._clock), legal_holds(state)
        left = days_left(state, now)
        due = PREPARED if stone and self._young(stone) else DUE
        return {
            "study": study,
            "title": state.charter.title,
            "charter_id": state.charter_id,
            "retention_until": state.charter.retention_until,
            "days_left": left,
            "legal_holds": holds,
            "size": state.size,
            "state": KEPT if left else HELD if holds else due,
            "prepared_at": stone.prepared_at if stone else None,
        }

    def _young(self, row: rows.TombstoneRow) -> bool:
        return self._clock() - datetime.fromisoformat(row.prepared_at) <= timedelta(days=DAYS)


def _plain(row: rows.TombstoneRow) -> dict[str, Any]:
    return {
        "study": row.study,
        "charter_id": row.charter_id,
        "size": row.size,
        "root": row.root,
        "state": DESTROYED if row.destroyed_at else PREPARED,
        "prepared_at": row.prepared_at,
        "destroyed_at": row.destroyed_at,
    }


def _operation(session: Transaction, now: str, person: Person, what: str, study: str) -> None:
    accounts.add_operation(session, time=now, who=str(person.number), what=what, about=study)
