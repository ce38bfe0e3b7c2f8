"""A sealed detail, opened against the entry that commits to it and not against the hub's word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from compliance.canonical import encode
from compliance.errors import Malformed
from compliance.records.envelope import parse_event
from compliance.records.sealed import open_sealed
from compliance.rules.logs import family_of
from compliance.signing.note import parse

Plain = dict[str, Any]


def opened(log: str, note: bytes, told: Mapping[str, Any]) -> Plain:
    """The payload of an entry, if salt and payload are those that the entry commits to.

    Args:
        log: name of the log.
        note: the entry, as this process has it.
        told: the hub's answer, `{salt, payload, …}`.

    Raises:
        NotProven: the entry commits to something else.
        Malformed: the answer has another form.
    """
    event = parse_event(parse(note).text, kinds=family_of(log).kinds)
    try:
        salt, data = bytes.fromhex(str(told["salt"])), encode(told["payload"])
    except (KeyError, ValueError):
        raise Malformed("sealed detail", "the hub's answer holds no salt and payload") from None
    return open_sealed(event.sealed or "", salt, data)
