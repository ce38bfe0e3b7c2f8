"""Reading the logs: folded states, entries, proofs. Whatever is answered follows from the entries.

The folded state is kept in memory per log and caught up from the entries before each answer, so
that several processes may append. Nobody takes the mutex inside a transaction that he began without
it: `LedgerService.writing` takes both in one order.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from typing import TypeVar

from compliance.errors import Malformed, NotReady
from compliance.ledger.tiles import entry_bundle
from compliance.records.envelope import Event, parse_event
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import State, family_of
from compliance.rules.questions import Question, Reply, ask
from compliance.rules.state import StudyState
from compliance.signing.note import parse
from hub.services import checkpoints
from hub.services.clock import Clock, text_of
from hub.services.given_up import gone
from hub.storage import ledger as rows
from hub.storage.database import Database, Transaction

Answer = TypeVar("Answer")

CONSORTIUM = "consortium"
"""Short name of the consortium's own log; every other log has the 16 hex of its study."""

MOST_ENTRIES = 256


class LogBook:
    """Every log of this hub, for reading.

    Args:
        database: where entries lie.
        clock: the time now.
    """

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._states: dict[str, State] = {}
        self._mutex = threading.RLock()

    def state_of(self, log: str) -> State:
        """The folded state of a log, up to its newest entry.

        Raises:
            NotReady: there is no such log.
        """
        with self._mutex, self._database.reading() as session:
            return self._caught_up(session, log)

    def state(self, study: str) -> StudyState:
        """The folded state of a study.

        Raises:
            NotReady: there is no log of such a study.
        """
        state = self.state_of(study)
        if not isinstance(state, StudyState):
            raise _no_log(study)
        return state

    def founded(self) -> ConsortiumState | None:
        """The folded state of the consortium, or None before it is founded."""
        with self._mutex, self._database.reading() as session:
            if rows.find_log(session, CONSORTIUM) is None:
                return None
            state = self._caught_up(session, CONSORTIUM)
        return state if isinstance(state, ConsortiumState) else None

    def consortium(self) -> ConsortiumState:
        """The folded state of the consortium.

        Raises:
            NotReady: it is not founded yet.
        """
        state = self.founded()
        if state is None:
            raise not_founded()
        return state

    def agreement_id(self) -> str:
        """Id of the agreement, empty before the consortium is founded."""
        state = self.founded()
        return state.agreement_id if state is not None else ""

    def ask(self, study: str, question: Callable[[StudyState], Answer]) -> Answer:
        """Answer a question about a study while nobody appends to it.

        Raises:
            NotReady: there is no such log.
        """
        with self._mutex:
            return question(self.state(study))

    def ask_consortium(self, question: Callable[[ConsortiumState | None], Answer]) -> Answer:
        """Answer a question about the consortium while nobody appends; None before founding."""
        with self._mutex:
            return question(self.founded())

    def may(self, log: str, question: Question) -> Reply:
        """Answer "would this be allowed?": the rules are asked, nothing is stored.

        Raises:
            NotReady: there is no such log, or no hospital is named for what a hospital says.
        """
        with self._mutex:
            return ask(log, self.state_of(log), question, text_of(self._clock))

    def check(self) -> None:
        """Fold every log again before anything is served; afterwards the states are known.

        Raises:
            NotReady: the entries of a log are not those that were signed.
        """
        for log in self.logs():
            with self._mutex, self._database.reading() as session:
                notes = rows.read_entries(session, log, 0)
                newest = rows.newest_checkpoint(session, log, quorum=False)
                signed = newest.note if newest else None
                leaves = rows.leaf_hashes(session, log)
                self._states[log] = checkpoints.check_history(log, notes, signed, leaves)
        self._check_listed()

    def _check_listed(self) -> None:
        """Every study of the consortium's list is here, unless its end is on the same record."""
        state = self._states.get(CONSORTIUM)
        if not isinstance(state, ConsortiumState):
            return
        hub = state.agreement.hub.partition("+")[0]
        excused = gone(self.events(CONSORTIUM, "erasure.done"), hub) | self._given_up()
        there = set(self.studies())
        for charter_id, listed in state.studies.items():
            study = listed.origin.rpartition("/")[2]
            if study not in there and charter_id not in excused:
                raise NotReady(
                    f"the log of study {study}, which the consortium lists, is not in the "
                    "database. Nothing is served.",
                    "Restore the database from a backup, or the log from a hospital's mirror; if "
                    f"nobody has it any more: `consilium hub resume --without {study}`.",
                )

    def _given_up(self) -> set[str]:
        """Charters of studies that were given up here; whoever only reads logs knows of none."""
        return set()

    def forget(self, log: str) -> None:
        """Drop what is only in memory of a log."""
        with self._mutex:
            self._states.pop(log, None)

    def logs(self) -> list[str]:
        """Every log: the consortium's own, if it is founded, and one for each study."""
        with self._database.reading() as session:
            return [row.study for row in rows.all_logs(session)]

    def studies(self) -> list[str]:
        """Every study that has a log."""
        return [log for log in self.logs() if log != CONSORTIUM]

    def size(self, log: str) -> int:
        """Number of entries."""
        with self._database.reading() as session:
            return rows.log_size(session, log)

    def entries(self, log: str, start: int, stop: int | None = None) -> list[bytes]:
        """Entries start … stop - 1, as received."""
        with self._database.reading() as session:
            must_exist(session, log)
            return rows.read_entries(session, log, start, stop)

    def events(self, log: str, kind: str) -> list[Event]:
        """Every statement of one kind, in order."""
        with self._database.reading() as session:
            notes = rows.entries_of_type(session, log, kind)
        kinds = family_of(log).kinds
        return [parse_event(parse(note).text, kinds=kinds) for note in notes]

    def places(self, log: str, kind: str) -> list[int]:
        """Where the statements of one kind stand."""
        with self._database.reading() as session:
            return rows.places_of_type(session, log, kind)

    def bundle(self, log: str, start: int, stop: int) -> bytes:
        """Entries as an entry bundle (C2SP tlog-tiles), at most 256."""
        if not 0 <= start <= stop or stop - start > MOST_ENTRIES:
            raise Malformed("range", f"from … to must rise by at most {MOST_ENTRIES}")
        return entry_bundle(self.entries(log, start, stop))

    def consistency(self, log: str, old: int, new: int) -> list[bytes]:
        """Hashes that prove that the log of `old` entries is the beginning of `new`."""
        return self.state_of(log).tree.consistency(old, new)

    def cosignatures(self, log: str) -> list[dict[str, object]]:
        """How far each witness has come: its newest line, and the size that it is about."""
        with self._database.reading() as session:
            must_exist(session, log)
            found = rows.newest_cosignatures(session, log)
        return [{"name": row.key_name, "size": row.size, "line": row.line} for row in found]

    def policy(self, log: str) -> str:
        """The policy that follows from charter or agreement and the keys in force."""
        return family_of(log).policy(self.state_of(log))

    def _caught_up(self, session: Transaction, log: str) -> State:
        try:
            must_exist(session, log)
        except NotReady:  # destroyed, perhaps by another process
            self._states.pop(log, None)
            raise
        state = self._states.get(log)
        start = 0 if state is None else state.size
        advance = family_of(log).advance
        for note in rows.read_entries(session, log, start):
            state = advance(state, note, 0 if state is None else state.size)
        if state is None:
            raise NotReady(f"the log {log} is empty.", "Restore it from a mirror.")
        self._states[log] = state
        return state


def must_exist(session: Transaction, log: str) -> None:
    """Make sure that a log is there.

    Raises:
        NotReady: it is not.
    """
    if rows.find_log(session, log) is None:
        raise not_founded() if log == CONSORTIUM else _no_log(log)


def not_founded() -> NotReady:
    """What is said to whoever needs the consortium before it is founded."""
    return NotReady(
        "the consortium is not founded yet.",
        "On the hub's host run `consilium hub found`; then every hospital signs the agreement.",
    )


def _no_log(study: str) -> NotReady:
    return NotReady(
        f"there is no log of a study {study}.",
        "Launch it first; or its records are gone: consilium hub retention.",
    )


def hashes_text(hashes: list[bytes]) -> list[str]:
    """Hashes as base64 text."""
    return [base64.b64encode(item).decode() for item in hashes]
