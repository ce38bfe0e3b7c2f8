"""The fold: entries in, the state of a study or the first refusal out.

Hub before it appends, hospital before it acts, witness before it cosigns, auditor on replay: all
run this file. No clock, no network, no database. What is not allowed here is denied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from compliance.errors import Malformed, Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.envelope import Event, NotAnEvent, body_of
from compliance.records.kinds import CHARTER, STUDY
from compliance.records.types import seconds_of
from compliance.rules import (
    amendments,
    charter,
    datasets,
    decisions,
    keys,
    metrics,
    releases,
    rounds,
    updates,
)
from compliance.rules.arrival import arrive, check_clock, open_note, said_of
from compliance.rules.authority import check_authority
from compliance.rules.phases import STEPS
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied, Verdict

Rule = Callable[[StudyState, Said], Verdict]
Effect = Callable[[StudyState, Said], None]

FAMILIES: dict[str, tuple[Rule, Effect]] = {
    "round.opened": (rounds.may_open, rounds.open_round),
    "update.submitted": (updates.may_submit, updates.submit),
    "metric.reported": (metrics.may_report, metrics.report),
    "round.closed": (rounds.may_close, rounds.close_round),
    "round.aborted": (rounds.may_abort, rounds.end_round),
    "charter.amended": (amendments.may_amend, amendments.amend),
    "site.joined": (amendments.may_join, amendments.join),
    "site.withdrawn": (datasets.may_leave_study, datasets.leave_study),
    "site.limited": (datasets.may_limit, datasets.limit),
    "dataset.reduced": (datasets.may_reduce, datasets.reduce),
    "dataset.withdrawn": (datasets.may_withdraw_dataset, datasets.withdraw_dataset),
    "study.stopped": (decisions.may_stop, decisions.stop),
    "study.resumed": (decisions.may_resume, decisions.resume),
    "study.closed": (decisions.may_close_study, decisions.close_study),
    "release.approved": (releases.may_approve, releases.approve),
    "release.refused": (releases.may_refuse, releases.refuse),
    "model.released": (releases.may_release, releases.release),
    "model.recalled": (releases.may_recall, releases.recall),
    "contribution.measured": (decisions.may_measure, decisions.noted),
    "key.rotated": (keys.may_rotate, keys.rotate),
    "decision.denied": (decisions.may_deny, decisions.deny),
    "export.created": (decisions.may_export, decisions.noted),
    "review.noted": (decisions.may_review, decisions.review),
    "erasure.done": (decisions.may_erase, decisions.noted),
}
"""For each kind: may it be said, and what it changes."""


def judge(state: StudyState | None, note: bytes, *, now: str | None = None) -> Verdict:
    """Say whether this note may be the next entry; the state stays as it is.

    Args:
        state: the study so far; None asks about entry 0.
        note: the note as received.
        now: the judge's own clock, only where notes arrive; a replay has none.
    """
    if state is None:
        verdict = charter.judge_entry0(note)
        return verdict if isinstance(verdict, Denied) else _clock_of_charter(note, now)
    said = arrive(state, note)
    if isinstance(said, Denied):
        return said
    clock = check_clock(said.moment, now)
    return clock if isinstance(clock, Denied) else _judge_said(state, said)


def advance(state: StudyState | None, note: bytes, index: int) -> StudyState:
    """Take an allowed note into the state; changes the state in place and returns it.

    Only after `judge` allowed it: no rule is asked here.

    Raises:
        Malformed: the index is not the next one.
    """
    if index != (0 if state is None else state.size):
        raise Malformed("entry", f"its index {index} is not the next one of the log")
    if state is None:
        state = charter.begin(note)
    else:
        _apply(state, note)
    state.tree.append(leaf_hash(note))
    state.size = index + 1
    return state


def replay(entries: Iterable[bytes]) -> StudyState:
    """Fold a whole log from the start.

    Raises:
        Refused: the first entry that a rule denies; `found` is its index.
        Malformed: there is no entry at all.
    """
    state: StudyState | None = None
    for index, note in enumerate(entries):
        verdict = judge(state, note)
        if isinstance(verdict, Denied):
            raise Refused(verdict.rule, found=index, sentence=verdict.sentence)
        state = advance(state, note, index)
    if state is None:
        raise Malformed("log", "it has no entry; a study begins with its charter")
    return state


def may(state: StudyState, kind: str, body: dict[str, Any], actor: str, time: str) -> Verdict:
    """Answer the question before the act: would this statement be allowed, if signed by `actor`?"""
    if kind not in STUDY:
        return Denied("event.type", kind)
    try:
        event = Event(type=kind, body=body_of(kind, body), time=time, actor=actor)
        said = said_of(state, event, frozenset({actor}))
    except NotAnEvent as error:
        return Denied(error.rule_id, error.rule)
    except Malformed as error:
        return Denied("time.form", error.rule)
    return _judge_said(state, said)


def _judge_said(state: StudyState, said: Said) -> Verdict:
    return check_authority(state, said) or FAMILIES[said.kind][0](state, said)


def _clock_of_charter(note: bytes, now: str | None) -> Verdict:
    opened = open_note(note)
    return opened if isinstance(opened, Denied) else check_clock(seconds_of(opened.event.time), now)


def _apply(state: StudyState, note: bytes) -> None:
    opened = open_note(note)
    if isinstance(opened, Denied) or opened.event.type == CHARTER:
        raise Malformed("entry", "it was not judged before")
    event = opened.event
    said = said_of(state, event, frozenset(line.name for line in opened.note.lines))
    FAMILIES[said.kind][1](state, said)
    state.phase = STEPS.get((state.phase, said.kind), state.phase)
    state.nonces.add((said.actor, event.nonce or ""))
    if said.moment > state.newest:
        state.newest, state.newest_time = said.moment, said.time
