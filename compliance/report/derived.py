"""The derived files: re-made by the verifier from the log alone and compared byte for byte."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from compliance.canonical import decode
from compliance.ledger.checkpoint import Checkpoint
from compliance.ledger.merkle import Tree, leaf_hash
from compliance.ledger.policy import policy_of_charter
from compliance.ledger.proof import write_proof
from compliance.ledger.tiles import tile_files
from compliance.records.envelope import DOMAIN, Event, parse_event
from compliance.report.limits import LIMITS
from compliance.report.page import page
from compliance.report.summary import summary
from compliance.rules.state import StudyState
from compliance.signing.note import Note, parse

PROVEN_KINDS = ("charter", "charter.amended", "round.closed", "study.stopped", "study.closed")
PROVEN_PREFIXES = ("release.", "model.", "site.withdrawn", "dataset.")
_FORMULA = ("=", "+", "-", "@", "\t")


@dataclass
class Log:
    """A study's log, read once: what every derived file is made from."""

    entries: Sequence[bytes]
    checkpoint_note: bytes
    checkpoint: Checkpoint
    times: dict[str, int]
    state: StudyState
    tree: Tree = field(default_factory=Tree)
    notes: list[Note] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Hash the leaves and read the notes."""
        for entry in self.entries:
            self.tree.append(leaf_hash(entry))
            self.notes.append(parse(entry))
            self.events.append(parse_event(self.notes[-1].text))

    @property
    def as_of(self) -> str:
        """The time of the newest cosignature, or of the newest entry when there is none."""
        if not self.times:
            return self.events[-1].time
        newest = datetime.fromtimestamp(max(self.times.values()), UTC)
        return newest.strftime("%Y-%m-%dT%H:%M:%SZ")


def derive(log: Log) -> dict[str, bytes]:
    """Make every derived file below `data/`."""
    files = {
        "data/README.html": page(log.state, rows(log), log.checkpoint, log.times, log.as_of),
        "data/LIMITS.md": LIMITS.encode(),
        "data/charter.json": write_json(_plain(log.notes[0])),
        "data/state.json": write_json(summary(log.state)),
        "data/events.jsonl": _jsonl(rows(log)),
        "data/events.csv": write_csv(
            ["index", "time", "type", "actor", "signers", "leaf_sha256"],
            ([r["index"], r["time"], r["type"], r["actor"] or "", " ".join(r["signers"]),
              r["leaf_sha256"]] for r in rows(log)),
        ),
        "data/participation.csv": _participation(log),
        "data/log/policy.txt": policy_of_charter(log.state.charter).encode(),
    }  # fmt: skip
    leaves = [leaf_hash(entry) for entry in log.entries]
    files |= {f"data/log/{path}": data for path, data in tile_files(leaves, log.entries).items()}
    for index, event in enumerate(log.events):
        if event.type in PROVEN_KINDS or event.type.startswith(PROVEN_PREFIXES):
            proof = write_proof(index, log.tree.inclusion(index), log.checkpoint_note)
            files[f"data/log/proofs/{index}.tlog-proof"] = proof
    return files


def rows(log: Log) -> list[dict[str, Any]]:
    """Each entry as plain data."""
    return [
        {
            "index": index,
            "time": event.time,
            "type": event.type,
            "actor": event.actor,
            "signers": [line.name for line in note.lines],
            "leaf_sha256": leaf_hash(entry).hex(),
            "body": _plain(note)["body"],
        }
        for index, (entry, note, event) in enumerate(
            zip(log.entries, log.notes, log.events, strict=True)
        )
    ]


def tags(log: Log, payload: dict[str, bytes], software: str) -> dict[str, bytes]:
    """`bag-info.txt`, from the content: no clock is read."""
    identity = uuid.uuid5(uuid.NAMESPACE_URL, log.checkpoint.origin)
    total = sum(len(data) for data in payload.values())
    lines = (
        f"Bag-Software-Agent: {software}",
        f"Bagging-Date: {log.as_of[:10]}",
        f"External-Identifier: urn:uuid:{identity}",
        f"Payload-Oxum: {total}.{len(payload)}",
    )
    return {"bag-info.txt": ("\n".join(lines) + "\n").encode()}


def write_json(value: Any) -> bytes:
    """Keys sorted, indent 1, final newline."""
    return (json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def write_csv(head: Sequence[str], body: Iterable[Sequence[Any]]) -> bytes:
    """RFC 4180 quoting; a text cell that a spreadsheet would run gets a leading apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for row in body:
        writer.writerow([_harmless(cell) for cell in row])
    return out.getvalue().encode()


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _plain(note: Note) -> dict[str, Any]:
    value: dict[str, Any] = decode(note.text[len(DOMAIN) : -1])
    return value


def _jsonl(lines: list[dict[str, Any]]) -> bytes:
    text = (json.dumps(line, sort_keys=True, ensure_ascii=False) + "\n" for line in lines)
    return "".join(text).encode()


def _participation(log: Log) -> bytes:
    table = []
    for closed in log.state.rounds_closed:
        for site in sorted({*closed.used, *closed.excluded, *closed.missing}):
            outcome = "used" if site in closed.used else "left out"
            reason = closed.excluded.get(site) or closed.missing.get(site) or ""
            weight = str(closed.weights.get(site, ""))
            table.append([closed.number, site, outcome, str(reason), weight, closed.index])
    return write_csv(["round", "site", "outcome", "reason", "weight", "entry"], table)
