"""How a log is folded, whichever it is: entries in, a state or the first refusal out.

Hub before it appends, hospital before it acts, witness before it cosigns, auditor on replay: all
run this file. No clock, no network, no database. What is not allowed here is denied. Which
statements a log knows, and by which rules, is told by its own fold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from compliance.errors import Malformed, Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.envelope import Event, NotAnEvent, body_of
from compliance.records.types import Record, seconds_of
from compliance.rules.arrival import belongs, check_clock, open_note, said_of, signers_of
from compliance.rules.keyring import KeyRing
from compliance.rules.said import LogState, Said
from compliance.rules.verdict import Denied, Verdict
from compliance.signing.note import Note

State = TypeVar("State", bound=LogState)


@dataclass(frozen=True)
class Fold(Generic[State]):
    """One kind of log.

    Args:
        kinds: what may stand in it after its first entry.
        several: which of them may carry more than one signature.
        families: for each kind: may it be said, and what it changes.
        judge_entry0: may this note be the first entry.
        begin: the state after it.
        check_signed: refuse a note that is not signed by keys that may sign it.
        voices: who holds which key while this statement is judged.
        check_authority: refuse what this key may not say, or not now.
        beginning: with what such a log begins, for people.
    """

    kinds: Mapping[str, type[Record]]
    several: frozenset[str]
    families: Mapping[str, tuple[Callable[[State, Said], Verdict], Callable[[State, Said], None]]]
    judge_entry0: Callable[[bytes], Verdict]
    begin: Callable[[bytes], State]
    check_signed: Callable[[State, Note, Event], Denied | None]
    voices: Callable[[State, Event], KeyRing]
    check_authority: Callable[[State, Said], Denied | None]
    beginning: str

    def judge(self, state: State | None, note: bytes, *, now: str | None = None) -> Verdict:
        """Say whether this note may be the next entry; the state stays as it is.

        Args:
            state: the log so far; None asks about entry 0.
            note: the note as received.
            now: the judge's own clock, only where notes arrive; a replay has none.
        """
        if state is None:
            verdict = self.judge_entry0(note)
            return verdict if isinstance(verdict, Denied) else self._clock_of_entry0(note, now)
        said = self._arrive(state, note)
        if isinstance(said, Denied):
            return said
        clock = check_clock(said.moment, now)
        return clock if isinstance(clock, Denied) else self._judge_said(state, said)

    def advance(self, state: State | None, note: bytes, index: int) -> State:
        """Take an allowed note into the state; changes the state in place and returns it.

        Only after `judge` allowed it: no rule is asked here.

        Raises:
            Malformed: the index is not the next one.
        """
        if index != (0 if state is None else state.size):
            raise Malformed("entry", f"its index {index} is not the next one of the log")
        if state is None:
            state = self.begin(note)
        else:
            self._apply(state, note)
        state.tree.append(leaf_hash(note))
        state.size = index + 1
        return state

    def replay(self, entries: Iterable[bytes]) -> State:
        """Fold a whole log from the start.

        Raises:
            Refused: the first entry that a rule denies; `found` is its index.
            Malformed: there is no entry at all.
        """
        state: State | None = None
        for index, note in enumerate(entries):
            verdict = self.judge(state, note)
            if isinstance(verdict, Denied):
                raise Refused(verdict.rule, found=index, sentence=verdict.sentence)
            state = self.advance(state, note, index)
        if state is None:
            raise Malformed("log", f"it has no entry; {self.beginning}")
        return state

    def may(self, state: State, kind: str, body: dict[str, Any], actor: str, time: str) -> Verdict:
        """Answer before the act: would this statement be allowed, if signed by `actor`?"""
        if kind not in self.kinds:
            return Denied("event.type", kind)
        try:
            form = body_of(kind, body, kinds=self.kinds)
            event = Event(type=kind, body=form, time=time, actor=actor)
            said = said_of(state, event, frozenset({actor}), self.voices(state, event))
        except NotAnEvent as error:
            return Denied(error.rule_id, error.rule)
        except Malformed as error:
            return Denied("time.form", error.rule)
        return self._judge_said(state, said)

    def _arrive(self, state: State, data: bytes) -> Said | Denied:
        """Turn a note into a statement that the rules may judge."""
        opened = open_note(data, self.kinds)
        if isinstance(opened, Denied):
            return opened
        note, event = opened.note, opened.event
        if event.type not in self.kinds:
            return Denied("event.type", event.type)
        wrong = self.check_signed(state, note, event)
        if wrong is not None:
            return wrong
        if len(note.lines) > 1 and event.type not in self.several:
            return Denied("note.form", "more than one signature", "one")
        return belongs(state, event, signers_of(note), self.voices(state, event))

    def _judge_said(self, state: State, said: Said) -> Verdict:
        return self.check_authority(state, said) or self.families[said.kind][0](state, said)

    def _clock_of_entry0(self, note: bytes, now: str | None) -> Verdict:
        opened = open_note(note, self.kinds)
        if isinstance(opened, Denied):
            return opened
        return check_clock(seconds_of(opened.event.time), now)

    def _apply(self, state: State, note: bytes) -> None:
        opened = open_note(note, self.kinds)
        if isinstance(opened, Denied) or opened.event.type not in self.kinds:
            raise Malformed("entry", "it was not judged before")
        event = opened.event
        said = said_of(state, event, signers_of(opened.note), self.voices(state, event))
        self.families[said.kind][1](state, said)
        state.moved(said.kind)
        state.nonces.add(said.actor, event.nonce or "")
        if said.moment > state.newest:
            state.newest, state.newest_time = said.moment, said.time
