"""Evidence for others: what an alarm rests on, and the mirror as files that anybody can read.

Layout of a log: C2SP tlog-tiles, so that `consilium audit compare`, a foreign tool or a successor
of the hub reads it without this program.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from compliance.errors import ConsiliumError, Malformed, NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.merkle import leaf_hash, root
from compliance.ledger.tiles import entry_bundle, parse_entry_bundle, tile_files
from compliance.report.heads import FILE, write_heads
from compliance.rules.logs import family_of
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse
from site_node.gate.hub_client import HubClient
from site_node.gate.mirror import Mirror
from site_node.store.mirror import MirrorAlarm, MirrorLog

SHOWN, KNOWN, PROOF, ENTRIES = "shown", "known", "consistency.txt", "entries"
MOST = 100_000
"""A log that claims to be longer is not fetched whole for evidence."""


def gather(hub: HubClient, log: str, known: MirrorLog | None, note: bytes) -> dict[str, bytes]:
    """What proves a contradiction to a third party, by name.

    Two checkpoints that the log signed; with them, where the hub hands them out and they lead to
    the root that it signed, the entries of the log as it is shown now.
    """
    parts = {f"{SHOWN}.checkpoint": note}
    if known is not None:
        parts[f"{KNOWN}.checkpoint"] = known.note
    try:
        claimed = parse_text(parse(note).text)
        entries = hub.entries(log, 0, claimed.size) if claimed.size <= MOST else []
    except ConsiliumError:  # a liar need not help; the checkpoints are kept in any case
        return parts
    if entries and root(leaf_hash(entry) for entry in entries) == claimed.root:
        parts[ENTRIES] = entry_bundle(entries)
    return parts


def proof_text(proof: Sequence[bytes]) -> bytes:
    """A consistency proof as lines of base64."""
    return b"".join(base64.b64encode(value) + b"\n" for value in proof)


def write_evidence(mirror: Mirror, out: Path) -> list[dict[str, Any]]:
    """Write what every alarm rests on, one folder each, ready for `consilium audit compare`.

    Raises:
        NotReady: the folder cannot be written.
    """
    made = []
    for alarm in mirror.alarms():
        folder = out / f"{alarm.study}-alarm-{alarm.id}"
        names = _write(folder, _files_of(mirror, alarm))
        made.append(
            {
                "log": alarm.study,
                "rule": alarm.rule,
                "at": alarm.at,
                "folder": str(folder),
                "files": names,
                "compare": [str(folder / name) for name in _pair(names)],
            }
        )
    return made


def write_mirror(
    mirror: Mirror, out: Path, by: SigningKey, time: str, unsaid: Callable[[str], bool]
) -> list[dict[str, Any]]:
    """Write every mirrored log as static tiles, complete enough to rebuild a lost hub from.

    Each folder holds `checkpoint` (the newest with a quorum), `checkpoint.latest` (the newest that
    the log signed), `policy.txt` and `tile/…` for both sizes. Before the first quorum both are the
    same checkpoint. `mirror.note` says how long each copy is, signed by this hospital's node: a hub
    that may have forgotten something counts these voices before it writes again.

    Args:
        mirror: the copies.
        out: folder to write into.
        by: the node key.
        time: the time now, UTC.
        unsaid: logs of which the note says nothing: a copy from a backup may be shorter than what
            this hospital cosigned.

    Raises:
        NotReady: the folder cannot be written.
    """
    made, heads = [], {}
    for head in mirror.all_heads():
        kept = mirror.quorum(head.study)
        size, note = kept or (head.size, head.note)
        entries = mirror.entries(head.study, 0, head.size)
        files = _static(entries[:size], note) | _static(entries, note)
        files["checkpoint.latest"] = head.note
        policy = family_of(head.study).policy(mirror.log_state(head.study))
        files["policy.txt"] = policy.encode()
        _write(out / head.study, files)
        if not unsaid(head.study):
            heads[head.study] = (head.size, head.root)
        made.append(
            {"log": head.study, "origin": head.origin, "size": head.size, "witnessed": size}
            | {"quorum": kept is not None, "folder": str(out / head.study)}
        )
    if heads:
        _write(out, {FILE: write_heads(by, time, heads)})
    return made


def _files_of(mirror: Mirror, alarm: MirrorAlarm) -> dict[str, bytes]:
    parts = mirror.evidence(alarm.id)
    files = {name: data for name, data in parts.items() if name != ENTRIES}
    files["finding.txt"] = f"{alarm.at} {alarm.rule}\n{alarm.finding}\n".encode()
    if not parts:  # an alarm of an older version: its evidence in one piece
        files["evidence.txt"] = alarm.evidence
    shown, known = parts.get(f"{SHOWN}.checkpoint"), parts.get(f"{KNOWN}.checkpoint")
    if shown is not None and ENTRIES in parts:
        files |= _below(SHOWN, _static(parse_entry_bundle(parts[ENTRIES]), shown))
    if known is not None:
        entries = mirror.entries(alarm.study, 0, parse_text(parse(known).text).size)
        files |= _below(KNOWN, _static(entries, known))
    return files


def _pair(names: Sequence[str]) -> list[str]:
    """What to hand to `compare`: the folders where there are entries, else the checkpoints."""
    found = []
    for name in (KNOWN, SHOWN):
        if f"{name}/checkpoint" in names:
            found.append(name)
        elif f"{name}.checkpoint" in names:
            found.append(f"{name}.checkpoint")
    return found


def _static(entries: Sequence[bytes], note: bytes) -> dict[str, bytes]:
    leaves = [leaf_hash(entry) for entry in entries]
    return tile_files(leaves, entries) | {"checkpoint": note}


def _below(folder: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{name}": data for name, data in files.items()}


def _write(folder: Path, files: dict[str, bytes]) -> list[str]:
    for name, data in files.items():
        path = folder / name
        if not path.resolve().is_relative_to(folder.resolve()):
            raise Malformed("evidence", "a part of it has a name that leads elsewhere")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise NotReady(
                f"{path} cannot be written ({error.strerror}).", "Name another folder with --out."
            ) from error
    return sorted(files)
