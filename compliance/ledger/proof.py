"""A proof in one text file (C2SP tlog-proof@v1): index, hashes, checkpoint."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.errors import Malformed
from compliance.ledger.merkle import HASH_BYTES, check_inclusion, leaf_hash
from compliance.ledger.policy import Policy, Quorum
from compliance.signing.keys import decode_base64

HEADER = "c2sp.org/tlog-proof@v1"
MAX_HASHES = 63
_INDEX = re.compile(r"index (0|[1-9]\d{0,18})")


@dataclass(frozen=True)
class Proof:
    """Where an entry stands, the path to the root, and the checkpoint with its signatures."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


def write_proof(
    index: int, hashes: Sequence[bytes], checkpoint_note: bytes, extra: bytes | None = None
) -> bytes:
    """Write a proof file; `extra` is carried along and never trusted."""
    lines = [HEADER]
    if extra is not None:
        lines.append(f"extra {base64.b64encode(extra).decode()}")
    lines.append(f"index {index}")
    lines += [base64.b64encode(item).decode() for item in hashes]
    return ("\n".join(lines) + "\n\n").encode() + checkpoint_note


def parse_proof(data: bytes) -> Proof:
    """Read a proof file.

    Raises:
        Malformed: header, extra, index, a hash of another length, more than 63 hashes.
    """
    head, empty, checkpoint = data.partition(b"\n\n")
    if not empty or not checkpoint:
        raise Malformed("proof", "it has no checkpoint")
    try:
        lines = head.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Malformed("proof", "it is not UTF-8") from None
    if lines.pop(0) != HEADER:
        raise Malformed("proof", f"its first line is not {HEADER}")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = decode_base64(lines.pop(0).removeprefix("extra "), "proof")
    found = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if found is None:
        raise Malformed("proof", "it names no index")
    hashes = tuple(decode_base64(line, "proof") for line in lines)
    if len(hashes) > MAX_HASHES or any(len(item) != HASH_BYTES for item in hashes):
        raise Malformed("proof", "it holds more than 63 hashes, or one without 32 bytes")
    return Proof(int(found[1]), hashes, checkpoint, extra)


def check_proof(proof: Proof, entry: bytes, policy: Policy) -> Quorum:
    """Check that an entry stands in the log, under a checkpoint with quorum.

    Raises:
        NotProven: signature, quorum or path does not hold.
    """
    quorum = policy.judge(proof.checkpoint)
    top = quorum.checkpoint
    check_inclusion(leaf_hash(entry), proof.index, top.size, proof.hashes, top.root)
    return quorum
