"""The derived files: re-made by the verifier from the log alone and compared byte for byte.

Each producer is a pure function of the log and the attached files; this file only composes them.
"""

from __future__ import annotations

import uuid

from compliance.ledger.proof import write_proof
from compliance.ledger.tiles import tile_files
from compliance.report import (
    contributions,
    controls,
    disclosures,
    exchanges,
    governance,
    keys,
    participation,
    privacy,
)
from compliance.report.kinds import CONTROLS
from compliance.report.limits import LIMITS
from compliance.report.log import Files, Log
from compliance.report.page import page
from compliance.report.summary import summary
from compliance.report.write import write_csv, write_json, write_jsonl
from compliance.rules.policies import policy_in_force

PROVEN_KINDS = ("charter", "charter.amended", "round.closed", "dataset.reduced")
PROVEN_PREFIXES = ("release.", "model.", "study.")
PROVEN_SUFFIX = ".withdrawn"
PRODUCERS = (
    governance,
    keys,
    privacy,
    disclosures,
    participation,
    contributions,
    controls,
    exchanges,
)
EVENTS = ("index", "time", "type", "actor", "signers", "signed", "leaf_sha256")


def derive(log: Log, attached: Files) -> dict[str, bytes]:
    """Make every derived file below `data/`.

    Args:
        log: the study's log.
        attached: the attached files, by path below the top folder (`data/…`); their hashes are
            compared with the log elsewhere, and some derived files are made from both.
    """
    files = _views(log) | _ledger(log)
    for producer in PRODUCERS:
        files |= producer.files(log, attached)
    files["data/README.html"] = page(log, attached, files.get(CONTROLS))
    return files | exchanges.catalogue(log, attached, files)


def tags(log: Log, payload: Files, software: str) -> dict[str, bytes]:
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


def _views(log: Log) -> dict[str, bytes]:
    """The log, decoded for people and programs."""
    rows = [row | {"signed": governance.signed(log, row["index"])} for row in log.rows()]
    table = (
        row | {"actor": row["actor"] or "", "signers": " ".join(row["signers"])} for row in rows
    )
    return {
        "data/LIMITS.md": LIMITS.encode(),
        "data/charter.json": write_json(log.plain(0)),
        "data/state.json": write_json(summary(log.state)),
        "data/events.jsonl": write_jsonl(rows),
        "data/events.csv": write_csv(EVENTS, ([row[name] for name in EVENTS] for row in table)),
    }


def _ledger(log: Log) -> dict[str, bytes]:
    """Tiles, the policy in force, and a proof of each entry that decides something."""
    tiles = tile_files(log.leaves, log.entries)
    files = {f"data/log/{path}": data for path, data in tiles.items()}
    files["data/log/policy.txt"] = policy_in_force(log.state).encode()
    for index, event in enumerate(log.events):
        if proven(event.type):
            proof = write_proof(index, log.tree.inclusion(index), log.checkpoint_note)
            files[f"data/log/proofs/{index}.tlog-proof"] = proof
    return files


def proven(kind: str) -> bool:
    """Whether entries of this kind get a proof file of their own."""
    return kind in PROVEN_KINDS or kind.startswith(PROVEN_PREFIXES) or kind.endswith(PROVEN_SUFFIX)
