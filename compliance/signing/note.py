"""Signed notes (C2SP signed-note): a text, an empty line, signature lines.

Our form is stricter than C2SP's: lines are sorted and none stands twice, because the leaf of the
log is the whole note and a relay must not be able to change its hash.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass

from compliance.errors import Malformed
from compliance.signing.keys import SigningKey, VerifierKey, decode_base64

MAX_BYTES = 65_535
MAX_LINES = 64
KEY_ID_BYTES = 4
_PREFIX = "— "
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")


@dataclass(frozen=True, order=True)
class SignatureLine:
    """One signature: who says it, which key, the bytes."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        """The line without its newline."""
        return f"{_PREFIX}{self.name} {base64.b64encode(self.key_id + self.signature).decode()}"


@dataclass(frozen=True)
class Note:
    """A text that ends in a newline, and 1 to 64 signature lines."""

    text: bytes
    lines: tuple[SignatureLine, ...]

    def encode(self) -> bytes:
        """The bytes as they travel and as they are hashed."""
        return self.text + b"\n" + b"".join(f"{line}\n".encode() for line in self.lines)


def parse(data: bytes) -> Note:
    """Read a note; the text may be anything printable, the signatures must have their form.

    Raises:
        Malformed: size, UTF-8, control bytes, no signature block, more than 64 lines, base64.
    """
    if len(data) > MAX_BYTES:
        raise Malformed("note", f"it has more than {MAX_BYTES} bytes")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("note", "it is not UTF-8") from None
    if _CONTROL.search(data):
        raise Malformed("note", "it holds a control byte")
    cut = data.rfind(b"\n\n")
    if cut < 0 or not data.endswith(b"\n"):
        raise Malformed("note", "it has no signature block")
    text, block = data[: cut + 1], data[cut + 2 :]
    lines = block.decode().split("\n")[:-1]
    if not 1 <= len(lines) <= MAX_LINES:
        raise Malformed("note", f"it has {len(lines)} signatures, allowed are 1 to {MAX_LINES}")
    return Note(text, tuple(parse_line(line) for line in lines))


def parse_line(line: str) -> SignatureLine:
    """Read one signature line, with or without its newline.

    Raises:
        Malformed: no em dash, wrong number of words, base64 not canonical, too short.
    """
    words = line.removesuffix("\n").removeprefix(_PREFIX).split(" ")
    if not line.startswith(_PREFIX) or len(words) != 2:  # noqa: PLR2004 - name, base64
        raise Malformed("signature line", "it is not an em dash, a name and base64")
    name, body = words
    if not name or "+" in name or any(mark.isspace() for mark in name):
        raise Malformed("signature line", "its name is empty or holds a space or +")
    data = decode_base64(body, "signature line")
    if len(data) <= KEY_ID_BYTES:
        raise Malformed("signature line", "it is too short")
    return SignatureLine(name, data[:KEY_ID_BYTES], data[KEY_ID_BYTES:])


def seal(text: bytes, *keys: SigningKey) -> bytes:
    """Sign a text with each key and return the whole note."""
    return assemble(text, [key.line(text) for key in keys])


def assemble(text: bytes, lines: Iterable[str | SignatureLine]) -> bytes:
    """Put a text and its signature lines together, sorted by (name, key id)."""
    parsed = [line if isinstance(line, SignatureLine) else parse_line(line) for line in lines]
    if not text.endswith(b"\n"):
        raise Malformed("note", "its text does not end in a newline")
    data = Note(text, tuple(sorted(parsed))).encode()
    return parse(data).encode()


def verified(note: Note, keys: Iterable[VerifierKey]) -> list[VerifierKey]:
    """Return the keys that signed this note, in the order of its lines.

    A line whose name and key id belong to one of the keys must verify; foreign lines are left out.

    Raises:
        Malformed: a line claims a known key and does not verify.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found = []
    for line in note.lines:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if not key.verifies(note.text, line.signature):
            raise Malformed("note", f"the signature of {line.name} does not verify")
        found.append(key)
    return found
