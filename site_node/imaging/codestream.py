"""The size that a compressed image claims in its own codestream, read before any codec runs.

A JPEG 2000 stream that claims 60,000 x 60,000 behind `Rows = 64` costs its reader 4 GB (measured);
two numbers compared beforehand cost nothing.

Source: ITU-T T.81 B.2.2 (JPEG SOF), T.87 C.2.2 (JPEG-LS SOF55), T.800 A.5.1 (JPEG 2000 SIZ).
"""

from __future__ import annotations

import struct

JPEG_START = b"\xff\xd8"
J2K_START = b"\xff\x4f\xff\x51"
FRAME_MARKERS = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC} | {0xF7})
ALONE = frozenset({0x01, *range(0xD0, 0xD8)})
J2K_HEADER = 24


def claimed_size(stream: bytes) -> tuple[int, int] | None:
    """Rows and columns that the stream claims, or None when it is no start of an image."""
    if stream.startswith(J2K_START) and len(stream) >= J2K_HEADER:
        right, bottom, left, top = struct.unpack_from(">IIII", stream, 8)
        return bottom - top, right - left
    if stream.startswith(JPEG_START):
        return _jpeg_size(stream)
    return None


def _jpeg_size(stream: bytes) -> tuple[int, int] | None:
    at = len(JPEG_START)
    while at + 9 <= len(stream) and stream[at] == 0xFF:  # noqa: PLR2004 - every marker's first byte
        marker = stream[at + 1]
        if marker in FRAME_MARKERS:
            rows, columns = struct.unpack_from(">HH", stream, at + 5)
            return rows, columns
        if marker in ALONE or marker == 0xFF:  # noqa: PLR2004 - fill byte
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004 - fill byte
            continue
        at += 2 + struct.unpack_from(">H", stream, at + 2)[0]
    return None
