"""The beginning of a DICOM file: preamble, file meta group, transfer syntax.

Source: DICOM PS3.10 §7.1; files without a preamble or meta group exist and are believed when their
data set begins with group 0008.
"""

from __future__ import annotations

import struct
from typing import TypeAlias

from compliance.records.reasons import Quarantine
from site_node.imaging.outcomes import Quarantined, Skipped

Buffer: TypeAlias = memoryview | bytes

IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DIRECTORY = "1.2.840.10008.1.3.10"

PREAMBLE = 128
META_GROUP, IDENTITY_GROUP = 0x0002, 0x0008
MEDIA_CLASS, TRANSFER_SYNTAX = 0x0002, 0x0010
SHORT_HEADER = 8
LONG_HEADER = 12
MOST_UID = 66
LONG = frozenset(
    (
        b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV",
    )
)  # fmt: skip
"""Types whose explicit header has a length of four bytes (PS3.5 §7.1.2)."""


def begin(data: Buffer) -> tuple[int, str]:
    """Find where the data set starts and in which transfer syntax.

    Raises:
        Quarantined: not DICOM, or the meta group is cut or damaged.
        Skipped: a DICOMDIR.
    """
    marked = bytes(data[PREAMBLE : PREAMBLE + 4]) == b"DICM"
    at, values = (PREAMBLE + 4 if marked else 0), {}
    while at + SHORT_HEADER <= len(data):
        group, element = struct.unpack_from("<HH", data, at)
        if group != META_GROUP:
            break
        start, end = _value(data, at)
        values[element] = bytes(data[start : min(end, start + MOST_UID)])
        at = end
    if values.get(MEDIA_CLASS, b"").rstrip(b"\0 ") == DIRECTORY.encode():
        raise Skipped("dicomdir")
    if not marked and not values:
        _expect_identity_group(data)
    syntax = values.get(TRANSFER_SYNTAX, b"").rstrip(b"\0 ").decode("ascii", "replace")
    return at, syntax or _guess(data, at)


def typed(kind: bytes) -> bool:
    """Whether two bytes can be the letters of a type."""
    return kind.isalpha() and kind.isupper()


def _value(data: Buffer, at: int) -> tuple[int, int]:
    """Start and end of the value of the explicit element at a place."""
    kind, head, form = bytes(data[at + 4 : at + 6]), SHORT_HEADER, "<H"
    if not typed(kind):
        raise Quarantined(Quarantine.MALFORMED)
    if kind in LONG:
        head, form = LONG_HEADER, "<I"
    if at + head > len(data):
        raise Quarantined(Quarantine.TRUNCATED)
    (length,) = struct.unpack_from(form, data, at + head - struct.calcsize(form))
    if at + head + length > len(data):
        raise Quarantined(Quarantine.TRUNCATED)
    return at + head, at + head + length


def _expect_identity_group(data: Buffer) -> None:
    if len(data) < SHORT_HEADER or struct.unpack_from("<H", data, 0)[0] != IDENTITY_GROUP:
        raise Quarantined(Quarantine.NOT_DICOM)


def _guess(data: Buffer, at: int) -> str:
    """Explicit when the first element shows type letters, else implicit."""
    return EXPLICIT if typed(bytes(data[at + 4 : at + 6])) else IMPLICIT
