"""Checkpoints (C2SP tlog-checkpoint): origin, size, root, as a signed note; no extension lines."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from compliance.errors import Malformed, NotProven
from compliance.ledger.merkle import HASH_BYTES
from compliance.signing.keys import SigningKey, VerifierKey, decode_base64
from compliance.signing.note import Note, parse, seal

MAX_SIZE = 2**63 - 1
_SIZE = re.compile(r"0|[1-9]\d{0,18}")
_ORIGIN = re.compile(r"[^\s+]{1,255}")


@dataclass(frozen=True)
class Checkpoint:
    """How long a log is and what its root is.

    Args:
        origin: name of the log.
        size: number of entries, 0 to 2^63 - 1.
        root: 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def text(self) -> bytes:
        """The three lines that are signed and cosigned."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()


def parse_text(text: bytes) -> Checkpoint:
    """Read the three lines of a checkpoint.

    Raises:
        Malformed: another number of lines, a leading zero, a root that is not 32 bytes.
    """
    try:
        lines = text.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Malformed("checkpoint", "it is not UTF-8") from None
    if len(lines) != 4 or lines[3]:  # noqa: PLR2004 - three lines and the end
        raise Malformed("checkpoint", "it does not have exactly three lines")
    origin, size, root = lines[:3]
    if not _ORIGIN.fullmatch(origin):
        raise Malformed("checkpoint", "its origin is empty or holds a space or +")
    if not _SIZE.fullmatch(size) or int(size) > MAX_SIZE:
        raise Malformed("checkpoint", "its size is not a number without leading zeros")
    data = decode_base64(root, "checkpoint")
    if len(data) != HASH_BYTES:
        raise Malformed("checkpoint", "its root does not have 32 bytes")
    return Checkpoint(origin, int(size), data)


def sign(checkpoint: Checkpoint, key: SigningKey) -> bytes:
    """Sign a checkpoint with the log's key; the key is named like the log."""
    if key.name != checkpoint.origin:
        raise Malformed("checkpoint", f"the key {key.name} is not the key of {checkpoint.origin}")
    return seal(checkpoint.text(), key)


def open_checkpoint(note: bytes | Note, log_key: VerifierKey) -> Checkpoint:
    """Read a checkpoint that the log has signed.

    Raises:
        Malformed: not a note, not a checkpoint.
        NotProven: another origin, or no signature of the log's key.
    """
    parsed = parse(note) if isinstance(note, bytes) else note
    checkpoint = parse_text(parsed.text)
    if checkpoint.origin != log_key.name:
        raise NotProven("checkpoint.origin", f"it is of {checkpoint.origin}, not {log_key.name}")
    for line in parsed.lines:
        if (line.name, line.key_id) == (log_key.name, log_key.key_id):
            if log_key.verifies(parsed.text, line.signature):
                return checkpoint
            raise NotProven("checkpoint.key", "the signature of the log does not verify")
    raise NotProven("checkpoint.key", "the log has not signed it")
