"""Reads what was signed: an entry for showing it, and whose signatures hold under a text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Malformed
from compliance.records.charter import CharterBody
from compliance.records.envelope import parse_event
from compliance.records.kinds import ENTRY0
from compliance.rules.logs import family_of
from compliance.signing.keys import VerifierKey, decode_base64
from compliance.signing.note import parse, parse_line


def signers(charter: Mapping[str, Any]) -> frozenset[str]:
    """Hospitals whose signature under a proposed charter verifies with the keys that it names.

    Before the launch nothing is folded yet: what the hub's tables say is counted only after this.

    Raises:
        Malformed: the text is not the charter that its id names.
    """
    text = decode_base64(str(charter["text_base64"]), "charter")
    body = parse_event(text).body
    if not isinstance(body, CharterBody) or sha256_id(text) != charter["charter_id"]:
        raise Malformed("charter", "its text has another hash than its id")
    keys = {key.name: key for key in (VerifierKey.parse(site.institution) for site in body.sites)}
    held = holding(text, keys, (str(row["line"]) for row in charter["signatures"]))
    return frozenset(name.partition("/")[0] for name in held)


def holding(text: bytes, keys: Mapping[str, VerifierKey], lines: Iterable[str]) -> dict[str, str]:
    """The signature lines that hold under a text, by the name of their key.

    Args:
        text: what was signed.
        keys: whose signature can count.
        lines: signature lines as the hub tells them; one of another form raises `Malformed`.
    """
    found = {}
    for line in lines:
        parsed = parse_line(line)
        key = keys.get(parsed.name)
        if key and key.key_id == parsed.key_id and key.verifies(text, parsed.signature):
            found[key.name] = line
    return found


def kind_of(note: bytes, log: str = "") -> tuple[str, str, str, dict[str, Any]]:
    """Kind, speaker, time and fields of an entry, for showing it.

    Args:
        note: the entry.
        log: its log, `consortium` or a study's id; a kind can have another form in each.
    """
    parsed = parse(note)
    event = parse_event(parsed.text, kinds=family_of(log).kinds)
    fields = event.body.plain()
    if event.type in ENTRY0:
        owners = [line.name.partition("/") for line in parsed.lines]
        fields["signers"] = sorted({site for site, _, role in owners if role == "institution"})
    return event.type, event.actor or "", event.time, fields
