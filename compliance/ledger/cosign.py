"""Cosignatures (C2SP tlog-cosignature v1) and the answers of a witness (C2SP tlog-witness)."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.errors import Malformed, NotProven
from compliance.ledger.checkpoint import Checkpoint, open_checkpoint
from compliance.ledger.merkle import EMPTY_ROOT, check_consistency
from compliance.signing.keys import COSIGNATURE, SigningKey, VerifierKey
from compliance.signing.note import SignatureLine, parse_line

TIME_BYTES = 8
SIGNATURE_BYTES = 72
MAX_TIME = 2**63
OK, MALFORMED, FORBIDDEN, UNKNOWN, CONFLICT, UNPROVEN = 200, 400, 403, 404, 409, 422
STATUS = {"checkpoint.origin": UNKNOWN, "checkpoint.key": FORBIDDEN}


def cosign(checkpoint_text: bytes, key: SigningKey, time: int) -> str:
    """Cosign a checkpoint: the log grew append-only and every entry obeyed the rules.

    Args:
        checkpoint_text: the three lines.
        key: a key of type 0x04.
        time: seconds since 1970.

    Returns:
        The signature line, newline included.
    """
    if key.kind != COSIGNATURE:
        raise Malformed("cosignature", "only a key of type 0x04 cosigns checkpoints")
    signature = time.to_bytes(TIME_BYTES, "big") + key.sign(_message(checkpoint_text, time))
    body = base64.b64encode(key.verifier.key_id + signature).decode()
    return f"— {key.name} {body}\n"


def check_cosignature(text: bytes, line: str | SignatureLine, key: VerifierKey) -> int:
    """Return the time of a cosignature that holds.

    Raises:
        Malformed: the line has another form.
        NotProven: another key, another length, a time out of range, or a wrong signature.
    """
    parsed = line if isinstance(line, SignatureLine) else parse_line(line)
    if key.kind != COSIGNATURE or (parsed.name, parsed.key_id) != (key.name, key.key_id):
        raise NotProven("cosignature", f"it is not made by the witness key {key.name}")
    if len(parsed.signature) != SIGNATURE_BYTES:
        raise NotProven("cosignature", "it does not have 72 bytes")
    time = int.from_bytes(parsed.signature[:TIME_BYTES], "big")
    if not 0 < time < MAX_TIME:
        raise NotProven("cosignature", "its time is out of range")
    if not key.verifies(_message(text, time), parsed.signature[TIME_BYTES:]):
        raise NotProven("cosignature", f"the signature of {key.name} does not verify")
    return time


@dataclass(frozen=True)
class Answer:
    """What a witness answers: status and body of tlog-witness, and what it knows afterwards."""

    status: int
    body: str
    known: Checkpoint | None


def answer(
    known: Checkpoint | None,
    old_size: int,
    proof: Sequence[bytes],
    note: bytes,
    log_key: VerifierKey,
) -> Answer:
    """Judge a new checkpoint as a witness; the caller cosigns only after 200.

    Args:
        known: the last checkpoint this witness cosigned, None at the first contact.
        old_size: the size from which the proof goes.
        proof: consistency proof, hashes of 32 bytes.
        note: the new checkpoint, signed by the log.
        log_key: the key in force for this log.

    Returns:
        400 malformed · 404 another log · 403 not signed by it · 409 the witness knows another
        size (body) · 422 the proof does not hold · 200.
    """
    try:
        checkpoint = _claimed(note, old_size, log_key)
        if old_size != (known.size if known else 0):
            return Answer(CONFLICT, f"{known.size if known else 0}\n", known)
        _grew(known, checkpoint, proof)
    except Malformed as error:
        return Answer(MALFORMED, str(error), known)
    except NotProven as error:
        return Answer(STATUS.get(error.step, UNPROVEN), error.finding, known)
    return Answer(OK, "", checkpoint)


def _claimed(note: bytes, old_size: int, log_key: VerifierKey) -> Checkpoint:
    checkpoint = open_checkpoint(note, log_key)
    if not 0 <= old_size <= checkpoint.size:
        raise Malformed("checkpoint", "the old size is above the new one")
    return checkpoint


def _grew(known: Checkpoint | None, new: Checkpoint, proof: Sequence[bytes]) -> None:
    if known is None or known.size == 0:
        if proof:
            raise NotProven("checkpoint.proof", "the proof from an empty tree must be empty")
        if new.size == 0 and new.root != EMPTY_ROOT:
            raise NotProven("checkpoint.proof", "the empty tree has another root")
        return
    check_consistency(known.size, known.root, new.size, new.root, proof)


def _message(text: bytes, time: int) -> bytes:
    return b"cosignature/v1\ntime %d\n" % time + text
