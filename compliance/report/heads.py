"""What a hospital says about its own copies of the logs: how long each is, and its root.

The statement goes with the copy (`mirror.note`). A hub that may not trust its own memory counts
these voices before it writes again; without a time and a signature an old copy would pass for a new
one.

Source: design/ledger.md §10 (the witness keeps what it knows), §11 (a restored hub).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass

from compliance.errors import Malformed, NotProven
from compliance.records.types import seconds_of
from compliance.signing.keys import SigningKey, VerifierKey
from compliance.signing.note import Note, parse, seal

DOMAIN = "consilium/mirror/v1"
FILE = "mirror.note"
ROOT_BYTES = 32
FEWEST_LINES = 3
_LOG = re.compile(r"consortium|[0-9a-f]{16}")
_SIZE = re.compile(r"[1-9][0-9]{0,14}")


@dataclass(frozen=True)
class Heads:
    """A hospital's own statement.

    Args:
        site: who speaks.
        time: when, UTC.
        logs: size and root of each copy, by the log's short name.
        note: the signed text.
    """

    site: str
    time: str
    logs: Mapping[str, tuple[int, bytes]]
    note: Note

    def check(self, key: VerifierKey) -> None:
        """Make sure that this hospital's node said it.

        Raises:
            NotProven: not signed by this key.
        """
        for line in self.note.lines:
            if (line.name, line.key_id) == (key.name, key.key_id) and key.verifies(
                self.note.text, line.signature
            ):
                return
        raise NotProven("mirror", f"the statement of {self.site} is not signed by {key.name}")


def write_heads(key: SigningKey, time: str, logs: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Sign what this hospital holds; the key is its node's."""
    lines = [DOMAIN, key.name.rpartition("/")[0], time]
    for log, (size, root) in sorted(logs.items()):
        lines.append(f"{log} {size} {base64.b64encode(root).decode()}")
    return seal(("\n".join(lines) + "\n").encode(), key)


def read_heads(data: bytes) -> Heads:
    """Read a statement; who said it is `check`.

    Raises:
        Malformed: it has another form.
    """
    note = parse(data)
    lines = note.text.decode().split("\n")[:-1]
    if len(lines) < FEWEST_LINES or lines[0] != DOMAIN:
        raise Malformed("mirror statement", f"it does not begin with {DOMAIN}")
    seconds_of(lines[2])
    logs = dict(_head(line) for line in lines[FEWEST_LINES:])
    if len(logs) != len(lines) - FEWEST_LINES:
        raise Malformed("mirror statement", "a log stands twice")
    return Heads(lines[1], lines[2], logs, note)


def _head(line: str) -> tuple[str, tuple[int, bytes]]:
    try:
        log, size, text = line.split(" ")
        root = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Malformed("mirror statement", "a line is not LOG SIZE ROOT") from None
    if not _LOG.fullmatch(log) or not _SIZE.fullmatch(size) or len(root) != ROOT_BYTES:
        raise Malformed("mirror statement", "a line is not LOG SIZE ROOT")
    return log, (int(size), root)
