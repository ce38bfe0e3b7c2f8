"""What every note must be before its meaning counts: one form, known signers, here, once, now.

Source: design/ledger.md §1 and §5.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from compliance.errors import Malformed
from compliance.records.envelope import Event, NotAnEvent, parse_event
from compliance.records.kinds import KINDS
from compliance.records.types import Record, seconds_of
from compliance.rules.keyring import KeyRing
from compliance.rules.said import LogState, Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.note import MAX_BYTES, MAX_LINES, Note, parse

LATENESS = timedelta(minutes=10)
SEVERAL_LATENESS = timedelta(days=30)
CLOCK = timedelta(minutes=10)
OLDEST = timedelta(hours=24)
"""How much older than a cosignature a later entry may be; texts that several sign may wait."""


@dataclass(frozen=True)
class Opened:
    """A note and the statement inside."""

    note: Note
    event: Event


def open_note(data: bytes, kinds: Mapping[str, type[Record]] = KINDS) -> Opened | Denied:
    """Read a note and its statement, form only; `kinds` as in `parse_event`."""
    block = data[data.rfind(b"\n\n") + 2 :]
    if len(data) > MAX_BYTES or block.count(b"\n") > MAX_LINES:
        return Denied("note.size", len(data), MAX_BYTES)
    try:
        note = parse(data)
    except Malformed as error:
        return Denied("note.form", error.rule)
    names = [(line.name, line.key_id) for line in note.lines]
    if names != sorted(set(names)):
        return Denied("note.form", "signature lines are not sorted, or one stands twice")
    try:
        return Opened(note, parse_event(note.text, kinds=kinds))
    except NotAnEvent as error:
        return Denied(error.rule_id, error.rule)


def check_signatures(note: Note, keys: KeyRing, added: KeyRing | None = None) -> Denied | None:
    """Refuse a note unless every line verifies with a key in force of one who may speak.

    Args:
        note: the note.
        keys: the keys in force.
        added: keys of an amendment; they count for names that have no key yet.
    """
    for line in note.lines:
        ring = keys if added is None or line.name in keys.current else added
        key = ring.speaker(line.name, line.key_id)
        if key is None:
            return Denied("note.form", f"a signature by an unknown key named {line.name}")
        if not key.verifies(note.text, line.signature):
            return Denied("note.form", f"the signature of {line.name} does not verify")
    return None


def check_clock(moment: datetime, now: str | None) -> Verdict:
    """Refuse what comes from the future of this clock; without a clock nothing is said."""
    if now is not None and moment > seconds_of(now) + CLOCK:
        return Denied("time.clock", moment.isoformat(), now)
    return ALLOWED


def predates(note: Note, time: str, cosigned: int) -> bool:
    """Whether a statement is said to be much older than a cosignature that was given before it.

    Whoever holds a stolen key could else put words into the past.

    Args:
        note: the statement with its signatures.
        time: as it says itself.
        cosigned: when the witness cosigned, s since 1970.
    """
    oldest = SEVERAL_LATENESS if len(note.lines) > 1 else OLDEST
    return seconds_of(time) < datetime.fromtimestamp(cosigned, UTC) - oldest


def signers_of(note: Note) -> frozenset[str]:
    """Key names under a note."""
    return frozenset(line.name for line in note.lines)


def belongs(state: LogState, event: Event, signers: frozenset[str], keys: KeyRing) -> Said | Denied:
    """Refuse what was made for another log, by another hand, before, or long ago.

    Args:
        state: the log it would stand in.
        event: the statement.
        signers: names whose signatures verified.
        keys: the ring that says who holds which key.
    """
    if event.log != state.charter_id:
        return Denied("event.log", event.log, state.charter_id)
    actor, nonce = event.actor or "", event.nonce or ""
    if actor not in signers:
        return Denied("event.signer", sorted(signers), actor)
    if state.nonces.holds(actor, nonce):
        return Denied("event.replay", nonce)
    said = said_of(state, event, signers, keys)
    allowed = SEVERAL_LATENESS if len(signers) > 1 else LATENESS
    if said.moment < state.newest - allowed:
        return Denied("time.order", said.time, state.newest_time)
    return said


def said_of(
    state: LogState, event: Event, signers: frozenset[str], keys: KeyRing | None = None
) -> Said:
    """Lay a statement beside the state it meets."""
    actor = event.actor or ""
    holder = (keys or state.keys).holders.get(actor)
    return Said(
        kind=event.type,
        body=event.body,
        actor=actor,
        role=holder.role if holder else "",
        site=(holder.site or "") if holder else "",
        signers=signers,
        time=event.time,
        moment=seconds_of(event.time),
        index=state.size,
    )
