"""The receipt of an export: the `export.created` note and its proof, in one tlog-proof file.

It lies beside the bundle, because the entry that names a bundle cannot be in it. The note travels
in the `extra` line, which is not trusted: the proof is about its hash.

Source: design/compliance.md §1.3; C2SP tlog-proof.
"""

from __future__ import annotations

from compliance.canonical import sha256_id
from compliance.errors import NotProven
from compliance.ledger.policy import Policy
from compliance.ledger.proof import check_proof, parse_proof, write_proof
from compliance.records.decisions import ExportCreated
from compliance.records.envelope import parse_event
from compliance.report.log import Log
from compliance.report.manifest import root_text
from compliance.signing.note import parse


def write_receipt(note: bytes, index: int, hashes: list[bytes], checkpoint: bytes) -> bytes:
    """Write a receipt.

    Args:
        note: the `export.created` entry.
        index: where it stands.
        hashes: its inclusion path under the checkpoint.
        checkpoint: with enough cosignatures.
    """
    return write_proof(index, hashes, checkpoint, note)


def check_receipt(receipt: bytes, log: Log, manifest: bytes, policy: Policy) -> str:
    """Check that the log says that this very bundle was exported.

    Raises:
        NotProven, Malformed: no proof, another bundle, another log.
    """
    proof = parse_proof(receipt)
    note = proof.extra
    if note is None:
        raise NotProven("receipt", "it holds no note")
    top = check_proof(proof, note, policy).checkpoint
    event = parse_event(parse(note).text)
    if not isinstance(event.body, ExportCreated) or event.log != log.state.charter_id:
        raise NotProven("receipt", "it is no export of this study")
    said = (event.body.size, event.body.root, event.body.manifest_sha256)
    if said != (log.checkpoint.size, root_text(log.checkpoint), sha256_id(manifest)):
        raise NotProven("receipt", "it is about another bundle")
    return f"exported by {event.actor} for {event.body.purpose}, entry {proof.index} of {top.size}"
