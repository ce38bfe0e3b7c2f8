"""What an evidence bundle of now will hold, and which were handed out, from entries checked here.

Files and clauses come from the very code that makes a bundle (`compliance.report`). Only which
attached files the hub holds, and the printed names, are the hub's word.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.records.decisions import ExportCreated
from compliance.records.envelope import parse_event
from compliance.report import bag, controls
from compliance.report.attached import sound_files
from compliance.report.bundle import top_folder
from compliance.report.consortium import consortium_files
from compliance.report.derived import derive
from compliance.report.exchange import workflow
from compliance.report.export import find_receipt
from compliance.report.kinds import CONSORTIUM, CONTROLS, PEOPLE, kind_of
from compliance.report.log import Log
from compliance.report.people import person
from compliance.report.reading import read_log
from compliance.rules.logs import CONSORTIUM as CONSORTIUM_LOG
from compliance.signing.note import parse

Plain = dict[str, Any]
CHECKPOINT, PDF, NOTE = "data/log/checkpoint", "data/report.pdf", "manifest.note"
SIGNED = frozenset({CHECKPOINT, NOTE})
TAGS = ("bag-info.txt", "bagit.txt", NOTE, bag.MANIFEST, bag.TAG_MANIFEST)
FEW = 5


class Source(Protocol):
    """Where the pieces come from: the hub's answers."""

    def checkpoint(self, log: str, *, latest: bool = False) -> bytes:
        """The newest checkpoint with quorum."""

    def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Entries start … stop - 1."""

    def policy(self, log: str) -> str:
        """A copy of the policy in force."""

    def attachments(self, log: str) -> Plain:
        """What the hub would attach: `{files, people, pdf}`."""


@dataclass(frozen=True)
class Preview:
    """What a bundle will hold.

    Args:
        name: of its file.
        size: entries of the log in it.
        as_of: time of the newest cosignature.
        profiles: laws that it answers to.
        files: every path, with its kind (a key of `evidence_words.FILES`).
        clauses: rows of `controls.json` of these laws.
        statement: what all this is, and is not.
    """

    name: str
    size: int
    as_of: str
    profiles: tuple[str, ...]
    files: Mapping[str, str]
    clauses: tuple[Plain, ...]
    statement: str


@dataclass(frozen=True)
class Exported:
    """An export that is on record.

    Args:
        index: entry of the log.
        time: as claimed.
        actor: key that says it: the hub's, or a hospital's node.
        person: directory id of the person who asked; empty on a command line.
        purpose: what it was for.
        size: entries in the bundle.
        manifest_sha256: hash of its manifest.
    """

    index: int
    time: str
    actor: str
    person: str
    purpose: str
    size: int
    manifest_sha256: str


def preview(
    source: Source,
    study: str,
    entries: Sequence[bytes],
    *,
    profiles: Sequence[str] = (),
    names: bool = True,
) -> Preview:
    """Say what a bundle of a study will hold, before anybody exports it.

    Args:
        source: where checkpoint and attached files come from.
        study: id of the study.
        entries: of its log, as checked.
        profiles: laws that are asked for; none: those of the agreement, or all.
        names: whether printed names are asked for.

    Raises:
        NotReady: too few hospitals cosigned, or a file is missing at the hub.
        Refused, NotProven, Malformed: log or checkpoint do not hold.
    """
    log = _log(source, study, entries)
    told = source.attachments(study)
    chosen = {f"data/{path}": data for path, data in controls.recorded(profiles).items()}
    given = chosen | _agreed(source, log)
    held = {str(row["path"]) for row in told["files"]}
    here = {path: b"" for path in held if not path.startswith(CONSORTIUM)} | given
    made = json.loads(controls.files(log, here)[CONTROLS])
    loose = ({PEOPLE} if names and told["people"] else set()) | ({PDF} if told["pdf"] else set())
    derived = derive(log, sound_files(log, given))
    return Preview(
        name=f"{top_folder({CHECKPOINT: log.checkpoint_note})}.zip",
        size=log.checkpoint.size,
        as_of=log.as_of,
        profiles=tuple(made["profiles"]),
        files=_files({*derived, *_nested(held), *held, *given, *loose, CHECKPOINT, *TAGS}),
        clauses=tuple(row for row in made["controls"] if row["status"] != "not_selected"),
        statement=str(made["statement"]),
    )


def grouped(files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Paths with their kinds; many of one kind in one folder are told in one line."""
    folders: dict[tuple[str, str], list[str]] = {}
    for path, kind in files.items():
        folders.setdefault((path.rpartition("/")[0], kind), []).append(path)
    rows: list[tuple[str, str]] = []
    for (folder, kind), paths in folders.items():
        many = len(paths) > FEW and "/" in folder
        rows += [(f"{folder}/… ({len(paths)} files)", kind)] if many else [(p, kind) for p in paths]
    return sorted(rows)


def exported(entries: Iterable[bytes]) -> list[Exported]:
    """Every export on record, the newest first."""
    found = []
    for index, entry in enumerate(entries):
        event = parse_event(parse(entry).text)
        body = event.body
        if isinstance(body, ExportCreated):
            said = (person(body), str(body.purpose), body.size, body.manifest_sha256)
            found.append(Exported(index, event.time, event.actor or "", *said))
    return found[::-1]


def receipt(
    source: Source, study: str, entries: Sequence[bytes], manifest_sha256: str
) -> bytes | None:
    """The receipt of an export, made from the entries; None before enough hospitals cosigned."""
    try:
        note, whole = _newest(source, study, entries)
    except NotReady:
        return None
    return find_receipt(whole, note, manifest_sha256)


def _log(source: Source, study: str, entries: Sequence[bytes]) -> Log:
    note, whole = _newest(source, study, entries)
    return read_log(whole, note)


def _newest(source: Source, study: str, entries: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The newest checkpoint with the entries below it; what came since the check is read too."""
    note = source.checkpoint(study)
    size = parse_text(parse(note).text).size
    whole = [*entries, *source.entries(study, len(entries), size)]
    return note, whole[:size]


def _agreed(source: Source, log: Log) -> dict[str, bytes]:
    """Proofs against the consortium's log, as an export makes them; none before it is witnessed."""
    name = CONSORTIUM_LOG.name
    try:
        note = source.checkpoint(name)
    except NotReady:
        return {}
    entries = source.entries(name, 0, parse_text(parse(note).text).size)
    if sha256_id(parse(entries[0]).text) != log.state.charter.consortium:
        return {}
    files = consortium_files(log, entries, note, source.policy(name))
    return {f"data/{path}": data for path, data in files.items()}


def _nested(held: Iterable[str]) -> set[str]:
    """The crate around the Flower bundle, where that lies in the bundle."""
    return {workflow.PATH} if any(path.endswith(".fab") for path in held) else set()


def _files(paths: Iterable[str]) -> dict[str, str]:
    kinds = {path: "signed" if path in SIGNED else kind_of(path) for path in sorted(paths)}
    return {path: kind or "derived" for path, kind in kinds.items()}
