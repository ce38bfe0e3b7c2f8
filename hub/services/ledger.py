"""Writing the logs: judge a note by the log's own rules, seal the answer, issue checkpoints.

State and record are written in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from compliance.errors import NotReady, Refused
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.merkle import leaf_hash
from compliance.ledger.proof import write_proof
from compliance.records.envelope import Event, write_event
from compliance.rules.arrival import open_note
from compliance.rules.consortium.charters import leaf_id
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import STUDY, State, family_of
from compliance.rules.verdict import Denied
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from hub.services import checkpoints
from hub.services.clock import Clock, text_of
from hub.services.entries import put_entry
from hub.services.held import READ_ONLY, Held, not_taken_over, takes_a_key
from hub.services.logbook import CONSORTIUM, LogBook, must_exist
from hub.storage import ledger as rows
from hub.storage.database import Database, Transaction

Also = Callable[[Transaction], None]

UNRECORDED = ("event.type", "denied.rate", READ_ONLY)
"""Refusals that leave no entry besides all about form: a stranger could fill the log with them."""


@dataclass(frozen=True)
class Receipt:
    """Where a note stands in its log."""

    index: int
    leaf_hash: bytes


class LedgerService(LogBook):
    """Every log of this hub, a study's or the consortium's own.

    Args:
        database: where entries lie.
        events: the hub's events key.
        log_key: returns the key of a log whose public half is named.
        clock: the time now.
        nonce: 32 hex digits, new each time.
        pause: least seconds between two checkpoints of a growing log.
        held: which logs this hub may not write now.
    """

    def __init__(
        self,
        *,
        database: Database,
        events: SigningKey,
        log_key: Callable[[str, str], SigningKey],
        clock: Clock,
        nonce: Callable[[], str],
        pause: float = 5.0,
        held: Held | None = None,
    ) -> None:
        super().__init__(database=database, clock=clock)
        self.held = held or Held(None)
        self._events, self._log_key = events, log_key
        self._nonce, self._pause = nonce, pause
        self._suppressed: Counter[str] = Counter()

    def _given_up(self) -> set[str]:
        return set(self.held.given_up.charters())

    @contextmanager
    def writing(self, *logs: str, before: tuple[str, ...] = ()) -> Iterator[Transaction]:
        """Open one transaction over these logs; if it fails, the memory forgets what it read.

        Args:
            logs: short names; the consortium's own comes last.
            before: further locks, taken first.
        """
        with self._mutex:
            try:
                with self._database.transaction(*before, *logs) as session:
                    yield session
            except BaseException:
                for log in logs:
                    self._states.pop(log, None)
                raise

    def begin(self, session: Transaction, log: str, entry0: bytes) -> Receipt:
        """Open a log with its signed charter or agreement, inside the caller's transaction.

        Raises:
            Refused: a rule says no.
        """
        self.held.check(log)
        family = family_of(log)
        verdict = family.judge(None, entry0, now=text_of(self._clock))
        if isinstance(verdict, Denied):
            raise refused(verdict)
        state = family.advance(None, entry0, 0)
        row = rows.LogRow(
            study=log, origin=state.origin, log_id=state.charter_id, vkey=state.log_key, size=0
        )
        rows.add_log(session, row)
        put_entry(session, log, entry0, state)
        self._issue(session, log, state)
        return Receipt(0, leaf_hash(entry0))

    def append(self, log: str, note: bytes, *, also: Also | None = None) -> Receipt:
        """Judge a note and seal it; the same note again returns the same receipt.

        Args:
            log: which log.
            note: as signed.
            also: writes the state that changes with this entry, in the same transaction.

        Raises:
            Refused: a rule says no; nothing is written.
            Malformed: not a note.
            NotReady: there is no such log.
        """
        logs = (log, CONSORTIUM) if _ends_a_study(log, note) else (log,)
        with self.writing(*logs) as session:
            known = _known(session, log, note)
            if known is not None:
                return known
            receipt = self._take(session, log, note)
            if len(logs) > 1:
                self.close_listing(session, log)
            if also is not None:
                also(session)
        return receipt

    def append_in(self, session: Transaction, log: str, note: bytes) -> Receipt:
        """The same inside a transaction of `writing`.

        Raises:
            Refused: a rule says no.
        """
        return _known(session, log, note) or self._take(session, log, note)

    def _take(self, session: Transaction, log: str, note: bytes) -> Receipt:
        family, state = family_of(log), self._caught_up(session, log)
        own = self._may_write(log, state, note)
        verdict = family.judge(state, note, now=text_of(self._clock))
        if isinstance(verdict, Denied):
            raise refused(verdict)
        checkpoints.check_age(session, log, note, self._clock())
        index = state.size
        family.advance(state, note, index)
        kind = put_entry(session, log, note, state)
        if own:
            self._log_key(log, str(state.keys.current[state.origin]))  # its file must be here
        self._issue_if_due(session, log, state, kind)
        return Receipt(index, leaf_hash(note))

    def state_in(self, session: Transaction, log: str) -> State | None:
        """The state of a log inside a transaction of `writing`; None if it has not begun."""
        return None if rows.find_log(session, log) is None else self._caught_up(session, log)

    def submit(self, log: str, note: bytes) -> Receipt:
        """Append what somebody sent; a refusal by the rules of the log is put on record.

        Raises:
            Refused: a rule says no; the log holds a `decision.denied`.
        """
        try:
            return self.append(log, note)
        except Refused as refusal:
            self._record(log, note, refusal.rule)
            raise

    def say(
        self,
        log: str,
        kind: str,
        body: dict[str, Any],
        *,
        on_behalf: dict[str, Any] | None = None,
        sealed: str | None = None,
        also: Also | None = None,
    ) -> Receipt:
        """Say something in the hub's name; `on_behalf` names the person where the form asks.

        `sealed` is what the statement commits to; `also` keeps the payload.
        """
        if on_behalf is not None or "on_behalf" in body:
            body = body | {"on_behalf": on_behalf or body.get("on_behalf")}
        note = self._said(self.state_of(log), log, kind, body, sealed)
        return self.append(log, note, also=also)

    def say_in(self, session: Transaction, log: str, kind: str, body: dict[str, Any]) -> Receipt:
        """Say something in the hub's name, inside a transaction of `writing`."""
        state = self._caught_up(session, log)
        return self.append_in(session, log, self._said(state, log, kind, body))

    def draft(self, log: str, kind: str, body: dict[str, Any], actor: str) -> bytes:
        """The text of a statement that somebody else will sign, with time and nonce of now."""
        return self._text(self.state_of(log), log, kind, body, actor)

    def proof(self, log: str, index: int) -> bytes:
        """A tlog-proof of one entry under the newest checkpoint with quorum."""
        note = self.checkpoint(log)
        size = parse_text(parse(note).text).size
        return write_proof(index, self.state_of(log).tree.inclusion(index, size), note)

    def checkpoint(self, log: str, *, latest: bool = False) -> bytes:
        """The newest checkpoint with quorum, or the newest that the log signed.

        Raises:
            NotReady: no log, or not witnessed yet.
        """
        with self.writing(log) as session:
            must_exist(session, log)
            state = self._caught_up(session, log)
            if latest:
                self._issue_if_due(session, log, state)
            row = rows.newest_checkpoint(session, log, quorum=not latest)
            if row is None:
                raise NotReady("no checkpoint has its quorum yet.", "Wait for the witnesses.")
            return checkpoints.assembled(session, row)

    def issue_checkpoint(self, log: str) -> None:
        """Sign a checkpoint of the newest entry now."""
        with self.writing(log) as session:
            self._issue(session, log, self._caught_up(session, log))

    def cosign(self, log: str, site: str, line: str) -> None:
        """Keep a witness's cosignature of one of our checkpoints.

        Raises:
            Refused: not a witness of this log, or not one of our checkpoints.
        """
        with self.writing(log) as session:
            state = self._caught_up(session, log)
            checkpoints.take_cosignature(session, log, state, (site, line), self._clock())

    def _said(
        self,
        state: State,
        log: str,
        kind: str,
        body: dict[str, Any],
        sealed: str | None = None,
    ) -> bytes:
        return seal(self._text(state, log, kind, body, self._events.name, sealed), self._events)

    def _text(
        self,
        state: State,
        log: str,
        kind: str,
        body: dict[str, Any],
        actor: str,
        sealed: str | None = None,
    ) -> bytes:
        return write_event(
            kind,
            body,
            time=text_of(self._clock),
            actor=actor,
            log=state.charter_id,
            nonce=self._nonce(),
            sealed=sealed,
            kinds=family_of(log).kinds,
        )

    def close_listing(self, session: Transaction, study: str) -> None:
        """What the consortium lists as open is open: the list is closed with the study."""
        if rows.find_log(session, CONSORTIUM) is None:
            return
        charter_id = self._caught_up(session, study).charter_id
        state = self._caught_up(session, CONSORTIUM)
        listed = state.studies.get(charter_id) if isinstance(state, ConsortiumState) else None
        if listed is not None and listed.closed is None:
            body = {"charter": charter_id, "origin": listed.origin, "entry0": listed.entry0}
            self.say_in(session, CONSORTIUM, "study.closed", body | {"on_behalf": None})

    def list_study(
        self,
        session: Transaction,
        study: str,
        entry0: bytes,
        on_behalf: dict[str, Any] | None = None,
    ) -> None:
        """Put a study that begins into the consortium's list, in the same transaction."""
        state = self._caught_up(session, study)
        body = {
            "charter": state.charter_id,
            "origin": state.origin,
            "entry0": leaf_id(entry0),
            "on_behalf": on_behalf,
        }
        self.say_in(session, CONSORTIUM, "study.opened", body)

    def _record(self, log: str, note: bytes, rule: str) -> None:
        """Put a refusal on record; what is too much for an hour is counted in the next one."""
        opened = open_note(note, family_of(log).kinds)
        if isinstance(opened, Denied) or rule in UNRECORDED or rule.startswith("note."):
            return
        body = {
            "action": opened.event.type,
            "who": opened.event.actor,
            "rule": rule,
            "round": _round_of(opened.event),
            "suppressed": self._suppressed[log],
        }
        self._suppressed[log] += 1
        with suppress(Refused):  # more than twenty in an hour
            self.say(log, "decision.denied", body)
            self._suppressed[log] = 0

    def _may_write(self, log: str, state: State, note: bytes) -> bool:
        """Refuse while this hub may have forgotten something, or is not the hub of this log yet.

        Returns:
            Whether this is the hub of this log; a successor takes new keys only.
        """
        self.held.check(log)
        own = self._own(log, state)
        if not own and not takes_a_key(log, note):
            raise not_taken_over(state.origin)
        return own

    def _own(self, log: str, state: State) -> bool:
        """Whether the keys by which the hub speaks and signs in this log lie here."""
        events = state.keys.current.get(self._events.name)
        return events == self._events.verifier and self._key_of(log, state) is not None

    def _key_of(self, log: str, state: State) -> SigningKey | None:
        try:
            return self._log_key(log, str(state.keys.current[state.origin]))
        except NotReady:
            return None

    def _issue_if_due(self, session: Transaction, log: str, state: State, kind: str = "") -> None:
        newest = rows.last_issued(session, log)
        urgent = kind in checkpoints.URGENT
        if urgent or checkpoints.due(newest, state.size, self._clock(), self._pause):
            self._issue(session, log, state)

    def _issue(self, session: Transaction, log: str, state: State) -> None:
        """Sign a checkpoint, unless this log must rest here or has another hub's key."""
        key = self._key_of(log, state)
        if key is not None and not self.held.holds(log):
            checkpoints.issue(session, log, state, key, self._clock())


def _known(session: Transaction, log: str, note: bytes) -> Receipt | None:
    """Where the very same note stands, if it was taken before."""
    leaf = leaf_hash(note)
    index = rows.find_leaf(session, log, leaf)
    return None if index is None else Receipt(index, leaf)


def _ends_a_study(log: str, note: bytes) -> bool:
    if family_of(log) is not STUDY:
        return False
    opened = open_note(note, STUDY.kinds)
    return not isinstance(opened, Denied) and opened.event.type == "study.closed"


def _round_of(event: Event) -> int | None:
    found = getattr(event.body, "round", None)
    return found if isinstance(found, int) else None


def refused(verdict: Denied) -> Refused:
    """A verdict as the error that carries it outside."""
    return Refused(verdict.rule, verdict.found, verdict.agreed, verdict.sentence)
