"""The envelope of every statement: one domain line, one canonical object, nothing else.

The first line makes sure that an event never parses as a checkpoint; the canonical form makes sure
that a statement has one hash.

Source: design/ledger.md §2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from compliance import canonical
from compliance.errors import Malformed
from compliance.records.kinds import AGREEMENT, CHARTER, ENTRY0, KINDS
from compliance.records.types import Key, Nonce, Record, Sha, seconds_of

DOMAIN = b"consilium/v1\n"
VERSION = 1
DEPTH = 8
_ENTRY0 = {"body", "time", "type", "v"}
_LATER = {"actor", "body", "log", "nonce", "time", "type", "v"}
Kinds = Mapping[str, type[Record]]
_FORMS: dict[str, TypeAdapter[str]] = {
    "actor": TypeAdapter(Key),
    "log": TypeAdapter(Sha),
    "nonce": TypeAdapter(Nonce),
    "sealed": TypeAdapter(Sha),
}


class NotAnEvent(Malformed):
    """These bytes are no statement of ours; `rule_id` names the rule they break."""

    def __init__(self, rule_id: str, rule: str) -> None:
        self.rule_id = rule_id
        super().__init__("event", rule)


@dataclass(frozen=True)
class Event:
    """One statement; entry 0 of a log has neither actor nor log nor nonce."""

    type: str
    body: Record
    time: str
    actor: str | None = None
    log: str | None = None
    nonce: str | None = None
    sealed: str | None = None


def parse_event(text: bytes, *, kinds: Kinds = KINDS) -> Event:
    """Read the text of a note as a statement with its typed body.

    Args:
        text: the text of the note.
        kinds: what may be said in the log it is read for. Without it every type is known, and a
            type that both logs have (`dataset.withdrawn`, `study.closed`) means the study log's.

    Raises:
        NotAnEvent: with the rule id `event.form`, `event.type`, `time.form`, `charter.form` or
            `agreement.form`.
    """
    fields = _fields(text)
    kind = fields["type"]
    form = _form(kind, kinds) if isinstance(kind, str) else None
    if form is None:
        raise NotAnEvent("event.type", "its type is not in the closed list")
    _check_envelope(fields, entry0=kind in ENTRY0)
    body = _body(kind, form, fields["body"])
    return Event(
        type=kind,
        body=body,
        time=fields["time"],
        actor=fields.get("actor"),
        log=fields.get("log"),
        nonce=fields.get("nonce"),
        sealed=fields.get("sealed"),
    )


def write_event(  # noqa: PLR0913 - one argument for each field of the envelope, and the log
    kind: str,
    body: Record | dict[str, Any],
    *,
    time: str,
    actor: str | None = None,
    log: str | None = None,
    nonce: str | None = None,
    sealed: str | None = None,
    kinds: Kinds = KINDS,
) -> bytes:
    """Write a statement as the text of a note, and read it back before handing it out.

    `kinds` as in `parse_event`.

    Raises:
        NotAnEvent: the statement would not be accepted by a reader.
    """
    plain = body.plain() if isinstance(body, Record) else body
    given = {"actor": actor, "log": log, "nonce": nonce, "sealed": sealed}
    fields: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    fields |= {"body": plain, "time": time, "type": kind, "v": VERSION}
    text = DOMAIN + canonical.encode(fields) + b"\n"
    parse_event(text, kinds=kinds)
    return text


def body_of(kind: str, body: dict[str, Any], *, kinds: Kinds = KINDS) -> Record:
    """Read a body by its type; `kinds` as in `parse_event`.

    Raises:
        NotAnEvent: `event.type` for an unknown type, else as `parse_event`.
    """
    form = _form(kind, kinds)
    if form is None:
        raise NotAnEvent("event.type", "its type is not in the closed list")
    return _body(kind, form, body)


def _form(kind: str, kinds: Kinds) -> type[Record] | None:
    return kinds.get(kind) or ENTRY0.get(kind)


def _fields(text: bytes) -> dict[str, Any]:
    if not text.startswith(DOMAIN) or not text.endswith(b"\n"):
        raise NotAnEvent("event.form", "it does not begin with the line consilium/v1")
    try:
        fields = canonical.decode(text[len(DOMAIN) : -1])
    except Malformed as error:
        raise NotAnEvent("event.form", error.rule) from None
    if not isinstance(fields, dict) or not fields.keys() >= {"body", "time", "type", "v"}:
        raise NotAnEvent("event.form", "its envelope lacks body, time, type or v")
    if _depth(fields) > DEPTH:
        raise NotAnEvent("event.form", f"it is nested deeper than {DEPTH}")
    return fields


def _check_envelope(fields: dict[str, Any], *, entry0: bool) -> None:
    wanted = _ENTRY0 if entry0 else _LATER
    if fields.keys() - ({"sealed"} if not entry0 else set()) != wanted:
        raise NotAnEvent("event.form", "its envelope has other keys than agreed")
    if type(fields["v"]) is not int or fields["v"] != VERSION:
        raise NotAnEvent("event.form", "its version is not 1")
    for name, form in _FORMS.items():
        if name in fields:
            _check_form(name, form, fields[name])
    if not isinstance(fields["time"], str):
        raise NotAnEvent("time.form", "its time is not text")
    try:
        seconds_of(fields["time"])
    except Malformed as error:
        raise NotAnEvent("time.form", error.rule) from None


def _check_form(name: str, form: TypeAdapter[str], value: Any) -> None:
    try:
        form.validate_python(value, strict=True)
    except ValidationError:
        raise NotAnEvent("event.form", f"its {name} has another form") from None


def _body(kind: str, form: type[Record], body: Any) -> Record:
    try:
        return form.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = first["loc"]
        name = ".".join(str(part) for part in where) or "body"
        raise NotAnEvent(_rule_of(kind, where[:1]), f"{name}: {first['msg']}") from None


def _rule_of(kind: str, first: tuple[Any, ...]) -> str:
    """The text of a charter or an agreement has a rule of its own, also inside an amendment."""
    for text in (CHARTER, AGREEMENT):
        if kind == text or (kind == f"{text}.amended" and first == (text,)):
            return f"{text}.form"
    return "event.form"


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(inner) for inner in value.values()), default=0)
    if isinstance(value, list):
        return 1 + max((_depth(inner) for inner in value), default=0)
    return 0
