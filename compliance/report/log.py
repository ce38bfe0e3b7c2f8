"""A study's log, read once: what every derived file of a bundle is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from compliance.canonical import decode
from compliance.ledger.checkpoint import Checkpoint
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.records.charter import CharterBody
from compliance.records.decisions import CharterAmended
from compliance.records.envelope import DOMAIN, Event, parse_event
from compliance.rules.state import StudyState
from compliance.signing.note import Note, parse

Files = Mapping[str, bytes]
"""Files by path below the top folder of a bundle, such as `data/state.json`."""


@dataclass
class Log:
    """Entries, their fold, and the checkpoint that witnesses cosigned.

    Args:
        entries: every note up to the checkpoint's size, as received.
        checkpoint_note: with all its cosignatures.
        checkpoint: the same, read.
        times: second of each witness's cosignature, by witness name.
        state: the fold of the entries.
        tree, notes, events, leaves: made here from the entries.
    """

    entries: Sequence[bytes]
    checkpoint_note: bytes
    checkpoint: Checkpoint
    times: dict[str, int]
    state: StudyState
    tree: Tree = field(default_factory=Tree)
    notes: list[Note] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Hash the leaves; read the notes, unless somebody did already."""
        for entry in self.entries:
            self.leaves.append(leaf_hash(entry))
            self.tree.append(self.leaves[-1])
        if len(self.events) != len(self.entries):
            self.notes = [parse(entry) for entry in self.entries]
            self.events = [parse_event(note.text) for note in self.notes]

    @property
    def hub(self) -> str:
        """Name of the hub, as its events key is named: `hub.example`."""
        return self.state.charter.hub_key.split("+", 1)[0].rpartition("/")[0]

    def charters(self) -> list[tuple[int, CharterBody]]:
        """Every version of the charter with its entry, the oldest first."""
        bodies = [(index, event.body) for index, event in enumerate(self.events)]
        found = [(index, body) for index, body in bodies if isinstance(body, CharterBody)]
        amended = [(i, body.charter) for i, body in bodies if isinstance(body, CharterAmended)]
        return found + amended

    @property
    def as_of(self) -> str:
        """The time of the newest cosignature, or of the newest entry when there is none."""
        if not self.times:
            return self.events[-1].time
        newest = datetime.fromtimestamp(max(self.times.values()), UTC)
        return newest.strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def witnessed(self) -> str:
        """When the quorum was complete: every entry existed at that moment at the latest."""
        needed = self.state.charter.quorum.k
        times = sorted(self.times.values())
        if len(times) < needed:
            return ""
        moment = datetime.fromtimestamp(times[needed - 1], UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def of_kind(self, *kinds: str) -> list[tuple[int, Event]]:
        """Index and statement of every entry of these kinds, in order."""
        return [(index, event) for index, event in enumerate(self.events) if event.type in kinds]

    def signers(self, index: int) -> list[str]:
        """Key names of all who signed an entry."""
        return [line.name for line in self.notes[index].lines]

    def plain(self, index: int) -> dict[str, Any]:
        """An entry's statement as it was written."""
        return plain(self.notes[index])

    def rows(self) -> list[dict[str, Any]]:
        """Each entry as plain data."""
        return [
            {
                "index": index,
                "time": event.time,
                "type": event.type,
                "actor": event.actor,
                "signers": self.signers(index),
                "leaf_sha256": self.leaves[index].hex(),
                "body": self.plain(index)["body"],
            }
            for index, event in enumerate(self.events)
        ]


def plain(note: Note) -> dict[str, Any]:
    """The statement of a note as plain data."""
    value: dict[str, Any] = decode(note.text[len(DOMAIN) : -1])
    return value
