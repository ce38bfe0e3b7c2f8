"""Texts that wait for signatures, judged here: whose signature holds, and what is still missing.

The hub tells the text and the lines. Everything else follows from them, from the keys of this
process's own fold, and from the rules of the log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed
from compliance.records.agreement import AgreementAmended
from compliance.records.decisions import CharterAmended
from compliance.records.envelope import Event, parse_event
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.differences import Difference, differences
from compliance.rules.logs import CONSORTIUM, LIFTED_BY_SIGNATURES, State, family_of
from compliance.rules.signers import OF_CONSORTIUM, OF_STUDY, may_sign
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied
from compliance.signing.keys import decode_base64
from compliance.signing.note import assemble, parse
from dashboard.reading import holding

CARRIED = "carried"
SHOWN = 12
"""Characters of an id in a command; the hospital asks for six at least."""


@dataclass(frozen=True)
class Known:
    """A log as it was checked here, and the time now.

    Args:
        state: its fold; None before its first entry, or when it could not be checked.
        entries: what was folded.
        checked: whether the log was checked, or has not begun; else nothing is judged.
        now: UTC second, as records carry it.
    """

    state: State | None
    entries: Sequence[bytes]
    checked: bool
    now: str


@dataclass(frozen=True)
class Motion:
    """A text of several.

    Args:
        told: the hub's row: times, expiry, entry.
        event: what it says.
        outcome: a word of `words_consortium.WAITING`.
        signed: keys whose signature holds.
        forged: names under which the hub shows a line that does not hold.
        wanting: keys that could still sign.
        denied: what the rules say to it with the signatures that hold; None when they allow it.
        changed: what differs from the text in force.
    """

    told: Mapping[str, Any]
    event: Event
    outcome: str
    signed: tuple[str, ...]
    forged: tuple[str, ...] = ()
    wanting: tuple[str, ...] = ()
    denied: Denied | None = None
    changed: tuple[Difference, ...] = ()

    @property
    def id(self) -> str:
        """Hash of the text."""
        return str(self.told["id"])

    @property
    def command(self) -> str:
        """What a steward types at the hospital."""
        return f"consilium site sign {self.id.removeprefix('sha256:')[:SHOWN]}"

    @property
    def needed(self) -> tuple[int, int] | None:
        """How many signatures there are and how many the rules ask for, where they say it."""
        if self.denied is None:
            return None
        found, agreed = self.denied.found, self.denied.agreed
        return (found, agreed) if isinstance(found, int) and isinstance(agreed, int) else None


def read_motion(told: Mapping[str, Any], log: Known) -> Motion:
    """Judge one text that the hub tells of.

    Raises:
        Malformed, NotAnEvent: the text is not what its id names, or no statement of several.
    """
    text, event = _text(told)
    if told.get("state") == CARRIED:
        return _carried(told, text, event, log)
    keys = may_sign(log.state, event)
    lines = {str(row["name"]): str(row["line"]) for row in told["signatures"]}
    if not log.checked:
        return Motion(told, event, "unjudged", tuple(sorted(lines)))
    held = holding(text, keys, lines.values())
    outcome, denied = _waits(text, list(held.values()), str(told["log"]), log)
    return Motion(
        told,
        event,
        outcome,
        signed=tuple(sorted(held)),
        forged=tuple(sorted(lines.keys() - held)),
        wanting=tuple(sorted(keys.keys() - held)) if outcome == "open" else (),
        denied=denied,
        changed=tuple(_changed(log.state, event)),
    )


def _text(told: Mapping[str, Any]) -> tuple[bytes, Event]:
    text = decode_base64(str(told["text_base64"]), "text")
    if sha256_id(text) != told["id"]:
        raise Malformed("text", "it has another hash than its id")
    family = family_of(str(told["log"]))
    event = parse_event(text, kinds=family.kinds)
    if event.type not in (OF_CONSORTIUM if family is CONSORTIUM else OF_STUDY):
        raise Malformed("text", f"{event.type} waits for nobody")
    return text, event


def _waits(text: bytes, lines: list[str], log: str, known: Known) -> tuple[str, Denied | None]:
    """What the rules say to the text with these signatures: it waits, could stand, or never."""
    if not lines:
        return "open", None
    verdict = family_of(log).judge(known.state, assemble(text, lines), now=known.now)
    if not isinstance(verdict, Denied):
        return "enough", None
    return ("open" if verdict.rule in LIFTED_BY_SIGNATURES else "impossible"), verdict


def _carried(told: Mapping[str, Any], text: bytes, event: Event, log: Known) -> Motion:
    """Whether the very text stands where the hub says."""
    index = told["index"]
    if not log.checked:
        return Motion(told, event, "unjudged", ())
    if not isinstance(index, int) or index < 0:
        return Motion(told, event, "false", ())
    if index >= len(log.entries):
        return Motion(told, event, "unseen", ())
    entry = parse(log.entries[index])
    names = tuple(line.name for line in entry.lines)
    return Motion(told, event, CARRIED if entry.text == text else "false", names)


def _changed(state: State | None, event: Event) -> list[Difference]:
    body = event.body
    if isinstance(body, AgreementAmended) and isinstance(state, ConsortiumState):
        return differences(state.agreement.plain(), body.agreement.plain())
    if isinstance(body, CharterAmended) and isinstance(state, StudyState):
        return differences(state.charter.plain(), body.charter.plain())
    return []
