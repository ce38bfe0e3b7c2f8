"""The derived files: re-made by the verifier from the log alone and compared byte for byte."""

from __future__ import annotations

import uuid

from compliance.ledger.policy import policy_of_charter
from compliance.ledger.proof import write_proof
from compliance.ledger.tiles import tile_files
from compliance.report.limits import LIMITS
from compliance.report.log import Files, Log
from compliance.report.page import page
from compliance.report.summary import summary
from compliance.report.write import write_csv, write_json, write_jsonl

PROVEN_KINDS = ("charter", "charter.amended", "round.closed", "study.stopped", "study.closed")
PROVEN_PREFIXES = ("release.", "model.", "site.withdrawn", "dataset.")


def derive(log: Log, attached: Files) -> dict[str, bytes]:
    """Make every derived file below `data/`.

    Args:
        log: the study's log.
        attached: the attached files, by path below the top folder (`data/…`); their hashes were
            compared with the log before, and some derived files are made from both.
    """
    rows = log.rows()
    files = {
        "data/README.html": page(log.state, rows, log.checkpoint, log.times, log.as_of),
        "data/LIMITS.md": LIMITS.encode(),
        "data/charter.json": write_json(log.plain(0)),
        "data/state.json": write_json(summary(log.state)),
        "data/events.jsonl": write_jsonl(rows),
        "data/events.csv": write_csv(
            ["index", "time", "type", "actor", "signers", "leaf_sha256"],
            ([r["index"], r["time"], r["type"], r["actor"] or "", " ".join(r["signers"]),
              r["leaf_sha256"]] for r in rows),
        ),
        "data/participation.csv": _participation(log),
        "data/log/policy.txt": policy_of_charter(log.state.charter).encode(),
    }  # fmt: skip
    files |= {
        f"data/log/{path}": data for path, data in tile_files(log.leaves, log.entries).items()
    }
    for index, event in enumerate(log.events):
        if event.type in PROVEN_KINDS or event.type.startswith(PROVEN_PREFIXES):
            proof = write_proof(index, log.tree.inclusion(index), log.checkpoint_note)
            files[f"data/log/proofs/{index}.tlog-proof"] = proof
    return files


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


def _participation(log: Log) -> bytes:
    table = []
    for closed in log.state.rounds_closed:
        for site in sorted({*closed.used, *closed.excluded, *closed.missing}):
            outcome = "used" if site in closed.used else "left out"
            reason = closed.excluded.get(site) or closed.missing.get(site) or ""
            weight = str(closed.weights.get(site, ""))
            table.append([closed.number, site, outcome, str(reason), weight, closed.index])
    return write_csv(["round", "site", "outcome", "reason", "weight", "entry"], table)
