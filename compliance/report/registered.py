"""Entries of the consortium's log that travel with a study: read here, proven in `consortium.py`.

Source: design/compliance.md §1.2, kind P; design/ledger.md §2.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from compliance.canonical import decode
from compliance.errors import ConsiliumError, Malformed
from compliance.records.envelope import DOMAIN
from compliance.report.kinds import CONSORTIUM
from compliance.signing.note import Note, parse

_NOTE = re.compile(rf"{CONSORTIUM}(\d+)\.note")


@dataclass(frozen=True)
class Registered:
    """An entry of the consortium's log: where it stands, its bytes and its statement."""

    index: int
    data: bytes
    note: Note
    said: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Type of the statement."""
        return str(self.said["type"])

    @property
    def body(self) -> Mapping[str, Any]:
        """Body of the statement, as it was written."""
        value: Mapping[str, Any] = self.said["body"]
        return value

    @property
    def site(self) -> str:
        """The hospital that spoke, by the name of its key."""
        return str(self.said.get("actor") or "").rpartition("/")[0]


def registered(files: Mapping[str, bytes]) -> Iterator[Registered]:
    """Every consortium entry of a bundle, in order.

    Raises:
        Malformed: one is no note of ours.
    """
    found = [(int(match[1]), path) for path in files if (match := _NOTE.fullmatch(path))]
    for index, path in sorted(found):
        yield read_registered(index, files[path])


def read_registered(index: int, data: bytes) -> Registered:
    """Read one entry, its form only.

    Raises:
        Malformed: it is no note of ours.
    """
    note = parse(data)
    said = decode(note.text[len(DOMAIN) : -1]) if note.text.startswith(DOMAIN) else None
    parts = (said.get("type"), said.get("body")) if isinstance(said, dict) else (None, None)
    if (
        not isinstance(said, dict)
        or not isinstance(parts[0], str)
        or not isinstance(parts[1], dict)
    ):
        raise Malformed(f"consortium entry {index}", "it is no statement")
    return Registered(index, data, note, said)


def reports_of(files: Mapping[str, bytes]) -> dict[tuple[str, str], set[str]]:
    """Hashes of de-identification reports that hospitals registered, by hospital and dataset."""
    found: dict[tuple[str, str], set[str]] = {}
    try:
        for entry in registered(files):
            deid = entry.body.get("deid")
            if entry.kind == "dataset.registered" and isinstance(deid, dict):
                pair = (entry.site, str(entry.body.get("dataset")))
                found.setdefault(pair, set()).add(str(deid.get("report_sha256")))
    except ConsiliumError:
        return {}
    return found
