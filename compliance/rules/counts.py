"""Questions how many, and their answers: who may ask, who answers, and in which form.

Hub and hospital ask the same rules. They stand beside the fold: nothing of this enters a log.

Source: docs/decisions/0034.
"""

from __future__ import annotations

from datetime import timedelta

from compliance.canonical import sha256_id
from compliance.records.counts import COUNTS, CountsAnswered, CountsAsked, CountsDeclined
from compliance.records.envelope import Event
from compliance.records.types import seconds_of
from compliance.rules.arrival import check_clock, check_signatures, open_note, said_of, signers_of
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.said import Said
from compliance.rules.verdict import Denied
from compliance.signing.note import parse

OPEN = timedelta(days=7)
"""How long a question may be answered; who still wants to know asks again."""

MOST_A_DAY = 20
"""Questions that one person may ask in 24 hours; hub and hospital count for themselves."""

MAY_SAY = {"counts.asked": "R", "counts.answered": "N", "counts.declined": "N"}
Answer = CountsAnswered | CountsDeclined


def question_id(note: bytes) -> str:
    """Names a question: the hash of its text, whoever signed it.

    Raises:
        Malformed: not a note.
    """
    return sha256_id(parse(note).text)


def judge_question(state: ConsortiumState, note: bytes, *, now: str) -> Said | Denied:
    """Say whether somebody of this consortium asks this, now.

    Args:
        state: the consortium as its own log tells it.
        note: the question as signed by its asker.
        now: the time of the one who judges.
    """
    said = _spoken(state, note)
    if isinstance(said, Denied):
        return said
    if not isinstance(said.body, CountsAsked):
        return Denied("event.type", said.kind, "counts.asked")
    clock = check_clock(said.moment, now)
    if isinstance(clock, Denied):
        return clock
    if said.moment < seconds_of(now) - OPEN:
        return Denied("counts.old", said.time)
    return said


def judge_answer(state: ConsortiumState, note: bytes, *, question: str, site: str) -> Said | Denied:
    """Say whether this hospital answers this question, and about its own datasets only.

    Args:
        state: the consortium as its own log tells it.
        note: the answer as signed by the hospital's node.
        question: id of the question.
        site: the hospital that hands it in.
    """
    said = _spoken(state, note)
    if isinstance(said, Denied):
        return said
    body = said.body
    if not isinstance(body, Answer):
        return Denied("event.type", said.kind, "counts.answered or counts.declined")
    if said.site != site:
        return Denied("event.signer", said.actor, f"{site}/node")
    if site not in state.active_members():
        return Denied("site.suspended", site)
    if body.question != question:
        return Denied("counts.question", body.question, question)
    return said if isinstance(body, CountsDeclined) else _told(state, said, body)


def registered(state: ConsortiumState, site: str) -> list[str]:
    """Datasets of a hospital that are registered and not withdrawn, sorted."""
    return sorted(
        name
        for (holder, name), versions in state.datasets.items()
        if holder == site and not all(row.withdrawn for row in versions.values())
    )


def _spoken(state: ConsortiumState, data: bytes) -> Said | Denied:
    opened = open_note(data, COUNTS)
    if isinstance(opened, Denied):
        return opened
    note, event = opened.note, opened.event
    denied = _belongs(state, event, signers_of(note)) or check_signatures(note, state.keys)
    if denied is not None:
        return denied
    said = said_of(state, event, signers_of(note))
    if said.role != MAY_SAY[said.kind]:
        return Denied("authority", f"{said.actor} says {said.kind}", MAY_SAY[said.kind])
    return said


def _belongs(state: ConsortiumState, event: Event, signers: frozenset[str]) -> Denied | None:
    """Refuse what was made for another consortium, by a stranger, or by more than one."""
    if event.sealed is not None:
        return Denied("event.form", "a sealed detail", "none")
    if event.log != state.agreement_id:
        return Denied("event.log", event.log, state.agreement_id)
    if event.actor not in state.keys.current:
        return Denied("member.known", event.actor, "a key of this consortium")
    if signers != {event.actor}:
        return Denied("event.signer", sorted(signers), event.actor)
    return None


def _told(state: ConsortiumState, said: Said, body: CountsAnswered) -> Said | Denied:
    least, names = state.agreement.floors.min_cell, [row.dataset for row in body.told]
    if body.floor < least:
        return Denied("counts.floor", body.floor, least)
    if len(names) != len(set(names)) or not set(names) <= set(registered(state, said.site)):
        return Denied("counts.dataset", ", ".join(names), said.site)
    for row in body.told:
        if row.patients is not None and (row.patients < 1 or row.patients % body.floor):
            return Denied("counts.steps", row.patients, body.floor)
    return said
