"""The fold of the consortium log: entries in, the state or the first refusal out.

Hub before it appends, hospital before it acts, witness before it cosigns, auditor on replay: all
run this file, as they run `compliance.rules.fold` for a study.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from compliance.errors import Malformed, Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.decisions import ExportCreated
from compliance.records.envelope import Event, NotAnEvent, body_of
from compliance.records.kinds import CONSORTIUM, ENTRY0
from compliance.records.members import MemberAdmitted
from compliance.records.types import seconds_of
from compliance.rules import decisions, keys
from compliance.rules.arrival import (
    belongs,
    check_clock,
    check_signatures,
    open_note,
    said_of,
    signers_of,
)
from compliance.rules.consortium import agreement, members, offers, registry, studies
from compliance.rules.consortium.authority import check_authority
from compliance.rules.consortium.state import ConsortiumState, Exported
from compliance.rules.keyring import KeyRing
from compliance.rules.said import Said
from compliance.rules.verdict import Denied, Verdict

Rule = Callable[[ConsortiumState, Said], Verdict]
Effect = Callable[[ConsortiumState, Said], None]

SEVERAL = frozenset({"agreement.amended", "member.admitted", "member.suspended", "key.rotated"})
"""Statements that may carry more than one signature."""


def _exported(state: ConsortiumState, said: Said) -> None:
    state.exports.append(Exported(said.index, said.actor, said.as_(ExportCreated)))


FAMILIES: dict[str, tuple[Rule, Effect]] = {
    "agreement.amended": (agreement.may_amend, agreement.amend),
    "member.admitted": (members.may_admit, members.admit),
    "member.suspended": (members.may_suspend, members.suspend),
    "member.left": (members.may_leave, members.leave),
    "researcher.admitted": (members.may_admit_researcher, members.admit_researcher),
    "researcher.left": (members.may_leave_researcher, members.leave_researcher),
    "key.rotated": (keys.may_rotate, keys.rotate),
    "recipe.registered": (registry.may_register_recipe, registry.register_recipe),
    "recipe.retired": (registry.may_retire_recipe, registry.retire_recipe),
    "dataset.registered": (registry.may_register_dataset, registry.register_dataset),
    "dataset.withdrawn": (registry.may_withdraw_dataset, registry.withdraw_dataset),
    "offer.made": (offers.may_offer, offers.offer),
    "offer.withdrawn": (offers.may_withdraw_offer, offers.withdraw_offer),
    "request.made": (offers.may_request, offers.request),
    "request.answered": (offers.may_answer, offers.answer),
    "study.proposed": (studies.may_propose, studies.propose),
    "study.refused": (studies.may_refuse, studies.refuse),
    "study.opened": (studies.may_open, studies.open_study),
    "study.closed": (studies.may_close, studies.close_study),
    "decision.denied": (decisions.may_deny, decisions.deny),
    "export.created": (decisions.may_export, _exported),
    "review.noted": (decisions.may_review, decisions.noted),
    "erasure.done": (decisions.may_erase, decisions.noted),
}
"""For each kind: may it be said, and what it changes."""


def judge(state: ConsortiumState | None, note: bytes, *, now: str | None = None) -> Verdict:
    """Say whether this note may be the next entry; the state stays as it is.

    Args:
        state: the consortium so far; None asks about entry 0.
        note: the note as received.
        now: the judge's own clock, only where notes arrive; a replay has none.
    """
    if state is None:
        verdict = agreement.judge_entry0(note)
        return verdict if isinstance(verdict, Denied) else _clock_of_agreement(note, now)
    said = _arrive(state, note)
    if isinstance(said, Denied):
        return said
    clock = check_clock(said.moment, now)
    return clock if isinstance(clock, Denied) else _judge_said(state, said)


def advance(state: ConsortiumState | None, note: bytes, index: int) -> ConsortiumState:
    """Take an allowed note into the state; changes the state in place and returns it.

    Only after `judge` allowed it: no rule is asked here.

    Raises:
        Malformed: the index is not the next one.
    """
    if index != (0 if state is None else state.size):
        raise Malformed("entry", f"its index {index} is not the next one of the log")
    if state is None:
        state = agreement.begin(note)
    else:
        _apply(state, note)
    state.tree.append(leaf_hash(note))
    state.size = index + 1
    return state


def replay(entries: Iterable[bytes]) -> ConsortiumState:
    """Fold a whole log from the start.

    Raises:
        Refused: the first entry that a rule denies; `found` is its index.
        Malformed: there is no entry at all.
    """
    state: ConsortiumState | None = None
    for index, note in enumerate(entries):
        verdict = judge(state, note)
        if isinstance(verdict, Denied):
            raise Refused(verdict.rule, found=index, sentence=verdict.sentence)
        state = advance(state, note, index)
    if state is None:
        raise Malformed("log", "it has no entry; a consortium begins with its agreement")
    return state


def may(state: ConsortiumState, kind: str, body: dict[str, Any], actor: str, time: str) -> Verdict:
    """Answer the question before the act: would this statement be allowed, if signed by `actor`?"""
    if kind not in CONSORTIUM:
        return Denied("event.type", kind)
    try:
        form = body_of(kind, body, kinds=CONSORTIUM)
        event = Event(type=kind, body=form, time=time, actor=actor)
        said = said_of(state, event, frozenset({actor}), _voices(state, event))
    except NotAnEvent as error:
        return Denied(error.rule_id, error.rule)
    except Malformed as error:
        return Denied("time.form", error.rule)
    return _judge_said(state, said)


def _arrive(state: ConsortiumState, data: bytes) -> Said | Denied:
    """Turn a note into a statement that the rules may judge."""
    opened = open_note(data, CONSORTIUM)
    if isinstance(opened, Denied):
        return opened
    note, event = opened.note, opened.event
    if event.type not in CONSORTIUM:
        return Denied("event.type", event.type)
    voices = _voices(state, event)
    wrong = check_signatures(note, voices)
    if wrong is not None:
        return wrong
    if len(note.lines) > 1 and event.type not in SEVERAL:
        return Denied("note.form", "more than one signature", "one")
    return belongs(state, event, signers_of(note), voices)


def _voices(state: ConsortiumState, event: Event) -> KeyRing:
    """The keys in force; for an admission also those that the hospital brings.

    A hospital that is a member already brings nothing: its keys change by rotation.
    """
    body = event.body
    if not isinstance(body, MemberAdmitted) or body.site in state.active_members():
        return state.keys
    ring = KeyRing(dict(state.keys.current), dict(state.keys.holders))
    for key, holder in members.newcomers(body):
        if key.name.startswith(f"{body.site}/"):
            ring.admit(key, holder, state.size)
    return ring


def _judge_said(state: ConsortiumState, said: Said) -> Verdict:
    return check_authority(state, said) or FAMILIES[said.kind][0](state, said)


def _clock_of_agreement(note: bytes, now: str | None) -> Verdict:
    opened = open_note(note, CONSORTIUM)
    return opened if isinstance(opened, Denied) else check_clock(seconds_of(opened.event.time), now)


def _apply(state: ConsortiumState, note: bytes) -> None:
    opened = open_note(note, CONSORTIUM)
    if isinstance(opened, Denied) or opened.event.type in ENTRY0:
        raise Malformed("entry", "it was not judged before")
    event = opened.event
    said = said_of(state, event, signers_of(opened.note), _voices(state, event))
    FAMILIES[said.kind][1](state, said)
    state.nonces.add((said.actor, event.nonce or ""))
    if said.moment > state.newest:
        state.newest, state.newest_time = said.moment, said.time
