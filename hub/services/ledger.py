"""The logs: judge a note by the log's own rules, seal the answer, issue checkpoints.

State and record are written in one transaction. The folded state is kept in memory per study and
caught up from the entries before each judgement, so that several processes may append.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from compliance.errors import Malformed, NotReady, Refused
from compliance.ledger.checkpoint import open_checkpoint
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.policy import policy_of_charter
from compliance.ledger.proof import write_proof
from compliance.ledger.tiles import entry_bundle
from compliance.records.envelope import Event, parse_event, write_event
from compliance.rules.fold import advance, judge
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.keys import SigningKey, VerifierKey
from compliance.signing.note import parse, seal
from hub.services import checkpoints
from hub.services.clock import Clock, text_of
from hub.storage import ledger as rows
from hub.storage.database import Database, Transaction

Also = Callable[[Transaction], None]
Answer = TypeVar("Answer")

MOST_ENTRIES = 256


@dataclass(frozen=True)
class Receipt:
    """Where a note stands in its log."""

    index: int
    leaf_hash: bytes


class LedgerService:
    """Every log of this hub.

    Args:
        database: where entries lie.
        events: the hub's events key.
        log_key: returns the key of a study's log.
        clock: the time now.
        nonce: 32 hex digits, new each time.
        pause: least seconds between two checkpoints of a growing log.
    """

    def __init__(
        self,
        *,
        database: Database,
        events: SigningKey,
        log_key: Callable[[str], SigningKey],
        clock: Clock,
        nonce: Callable[[], str],
        pause: float = 5.0,
    ) -> None:
        self._database, self._events, self._log_key = database, events, log_key
        self._clock, self._nonce, self._pause = clock, nonce, pause
        self._states: dict[str, StudyState] = {}
        self._mutex = threading.RLock()

    def begin(self, session: Transaction, study: str, entry0: bytes) -> Receipt:
        """Open a study's log with its signed charter, inside the caller's transaction.

        Raises:
            Refused: a charter rule says no.
        """
        verdict = judge(None, entry0, now=text_of(self._clock))
        if isinstance(verdict, Denied):
            raise _refused(verdict)
        state = advance(None, entry0, 0)
        charter = state.charter
        row = rows.LogRow(
            study=study,
            origin=charter.origin,
            log_id=state.charter_id,
            vkey=charter.log_key,
            size=0,
        )
        rows.add_log(session, row)
        self._insert(session, study, entry0, 0, state)
        self._issue(session, study, state)
        return Receipt(0, leaf_hash(entry0))

    def append(self, study: str, note: bytes, *, also: Also | None = None) -> Receipt:
        """Judge a note and seal it; the same note again returns the same receipt.

        Args:
            study: whose log.
            note: as signed.
            also: writes the state that changes with this entry, in the same transaction.

        Raises:
            Refused: a rule says no; nothing is written.
            Malformed: not a note.
            NotReady: there is no such log.
        """
        leaf = leaf_hash(note)
        with self._mutex:
            try:
                with self._database.transaction(study) as session:
                    known = rows.find_leaf(session, study, leaf)
                    if known is not None:
                        return Receipt(known, leaf)
                    state = self._caught_up(session, study)
                    verdict = judge(state, note, now=text_of(self._clock))
                    if isinstance(verdict, Denied):
                        raise _refused(verdict)
                    index = state.size
                    advance(state, note, index)
                    kind = self._insert(session, study, note, index, state)
                    if also is not None:
                        also(session)
                    self._issue_if_due(session, study, state, kind)
            except Exception:
                self._states.pop(study, None)
                raise
        return Receipt(index, leaf)

    def say(
        self,
        study: str,
        kind: str,
        body: dict[str, Any],
        *,
        on_behalf: dict[str, Any] | None = None,
        also: Also | None = None,
    ) -> Receipt:
        """Say something in the hub's name; `on_behalf` names the person where the form asks."""
        if on_behalf is not None or "on_behalf" in body:
            body = body | {"on_behalf": on_behalf or body.get("on_behalf")}
        text = write_event(
            kind,
            body,
            time=text_of(self._clock),
            actor=self._events.name,
            log=self.state(study).charter_id,
            nonce=self._nonce(),
        )
        return self.append(study, seal(text, self._events), also=also)

    def state(self, study: str) -> StudyState:
        """The folded state of a study, up to its newest entry.

        Raises:
            NotReady: there is no such log.
        """
        with self._mutex, self._database.reading() as session:
            return self._caught_up(session, study)

    def ask(self, study: str, question: Callable[[StudyState], Answer]) -> Answer:
        """Answer a question about the folded state while nobody appends to it.

        Raises:
            NotReady: there is no such log.
        """
        with self._mutex:
            return question(self.state(study))

    def check(self) -> None:
        """Fold every log again before anything is served; afterwards the states are known.

        Raises:
            NotReady: the entries of a log are not those that were signed.
        """
        for study in self.studies():
            with self._mutex, self._database.reading() as session:
                notes = rows.read_entries(session, study, 0)
                newest = rows.newest_checkpoint(session, study, quorum=False)
                signed = newest.note if newest else None
                self._states[study] = checkpoints.check_history(study, notes, signed)

    def studies(self) -> list[str]:
        """Every study that has a log."""
        with self._database.reading() as session:
            return [row.study for row in rows.all_logs(session)]

    def size(self, study: str) -> int:
        """Number of entries."""
        with self._database.reading() as session:
            return rows.log_size(session, study)

    def entries(self, study: str, start: int, stop: int | None = None) -> list[bytes]:
        """Entries start … stop - 1, as received."""
        with self._database.reading() as session:
            _must_exist(session, study)
            return rows.read_entries(session, study, start, stop)

    def events(self, study: str, kind: str) -> list[Event]:
        """Every statement of one kind, in order."""
        with self._database.reading() as session:
            notes = rows.entries_of_type(session, study, kind)
        return [parse_event(parse(note).text) for note in notes]

    def places(self, study: str, kind: str) -> list[int]:
        """Where the statements of one kind stand."""
        with self._database.reading() as session:
            return rows.places_of_type(session, study, kind)

    def bundle(self, study: str, start: int, stop: int) -> bytes:
        """Entries as an entry bundle (C2SP tlog-tiles), at most 256."""
        if not 0 <= start <= stop or stop - start > MOST_ENTRIES:
            raise Malformed("range", f"from … to must rise by at most {MOST_ENTRIES}")
        return entry_bundle(self.entries(study, start, stop))

    def proof(self, study: str, index: int) -> bytes:
        """A tlog-proof of one entry under the newest checkpoint with quorum."""
        note = self.checkpoint(study)
        size = open_checkpoint(note, self._verifier(study)).size
        return write_proof(index, self.state(study).tree.inclusion(index, size), note)

    def consistency(self, study: str, old: int, new: int) -> list[bytes]:
        """Hashes that prove that the log of `old` entries is the beginning of `new`."""
        return self.state(study).tree.consistency(old, new)

    def policy(self, study: str) -> str:
        """The policy that follows from the charter."""
        return policy_of_charter(self.state(study).charter)

    def checkpoint(self, study: str, *, latest: bool = False) -> bytes:
        """The newest checkpoint with quorum, or the newest that the log signed.

        Raises:
            NotReady: no log, or not witnessed yet.
        """
        with self._mutex, self._database.transaction(study) as session:
            state = self._caught_up(session, study)
            if latest:
                self._issue_if_due(session, study, state)
            row = rows.newest_checkpoint(session, study, quorum=not latest)
            if row is None:
                raise NotReady("no checkpoint has its quorum yet.", "Wait for the witnesses.")
            return checkpoints.assembled(session, row)

    def issue_checkpoint(self, study: str) -> None:
        """Sign a checkpoint of the newest entry now."""
        with self._mutex, self._database.transaction(study) as session:
            self._issue(session, study, self._caught_up(session, study))

    def cosign(self, study: str, site: str, line: str) -> None:
        """Keep a witness's cosignature of one of our checkpoints.

        Raises:
            Refused: not a witness of this study, or not one of our checkpoints.
        """
        with self._mutex, self._database.transaction(study) as session:
            charter = self._caught_up(session, study).charter
            checkpoints.take_cosignature(session, charter, site, line, self._clock())

    def _caught_up(self, session: Transaction, study: str) -> StudyState:
        state = self._states.get(study)
        start = 0 if state is None else state.size
        if state is None:
            _must_exist(session, study)
        for note in rows.read_entries(session, study, start):
            state = advance(state, note, 0 if state is None else state.size)
        if state is None:
            raise NotReady(f"the log of study {study} is empty.", "Restore it from a mirror.")
        self._states[study] = state
        return state

    def _insert(
        self, session: Transaction, study: str, note: bytes, index: int, state: StudyState
    ) -> str:
        event = parse_event(parse(note).text)
        row = rows.EntryRow(
            study=study,
            idx=index,
            leaf=note,
            leaf_hash=leaf_hash(note),
            type=event.type,
            actor=event.actor or "",
            time=event.time,
        )
        rows.add_entry(session, row, state.tree.completed(index))
        return event.type

    def _issue_if_due(
        self, session: Transaction, study: str, state: StudyState, kind: str = ""
    ) -> None:
        newest = rows.newest_checkpoint(session, study, quorum=False)
        urgent = kind in checkpoints.URGENT
        if urgent or checkpoints.due(newest, state.size, self._clock(), self._pause):
            self._issue(session, study, state)

    def _issue(self, session: Transaction, study: str, state: StudyState) -> None:
        checkpoints.issue(session, state, self._log_key(study), self._clock())

    def _verifier(self, study: str) -> VerifierKey:
        return VerifierKey.parse(self.state(study).charter.log_key)


def _refused(verdict: Denied) -> Refused:
    return Refused(verdict.rule, verdict.found, verdict.agreed, verdict.sentence)


def _must_exist(session: Transaction, study: str) -> None:
    if rows.find_log(session, study) is None:
        raise NotReady(f"there is no log of a study {study}.", "Launch the study first.")


def hashes_text(hashes: list[bytes]) -> list[str]:
    """Hashes as base64 text."""
    return [base64.b64encode(item).decode() for item in hashes]
