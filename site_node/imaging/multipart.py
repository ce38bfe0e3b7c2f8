"""The parts of a multipart answer, written to disk as they come; nothing is kept in memory.

Source: RFC 2046 §5.1, RFC 2387; DICOM PS3.18 §8.7.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from compliance.errors import Malformed

BOUNDARY = re.compile(r"""boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
HEAD_END = b"\r\n\r\n"
MOST_HEAD = 8192
WHAT, RULE = "answer of the PACS", "multipart/related with one whole part (RFC 2046 5.1)"


class TooLarge(Exception):
    """A part is larger than one object may be."""


def boundary_of(content_type: str) -> bytes:
    """The line that parts stand between.

    Raises:
        Malformed: none is named.
    """
    found = BOUNDARY.search(content_type)
    if found is None:
        raise Malformed(WHAT, RULE)
    return b"\r\n--" + (found[1] or found[2]).encode("latin-1")


def first_part(chunks: Iterable[bytes], boundary: bytes, out: BinaryIO, most: int) -> None:
    """Write the body of the first part.

    Args:
        chunks: the answer as it comes.
        boundary: what ends a part, from `boundary_of`.
        out: where to write.
        most: how many bytes a part may have.

    Raises:
        Malformed: the answer ends before the part, or has no part.
        TooLarge: the part goes on beyond the limit.
    """
    source = iter(chunks)
    rest = _after(source, _after(source, b"\r\n", boundary), HEAD_END)
    written = 0
    while (at := rest.find(boundary)) < 0:
        sure = max(0, len(rest) - len(boundary))
        out.write(rest[:sure])
        written, rest = written + sure, rest[sure:] + _next(source)
        if written > most:
            raise TooLarge
    if written + at > most:
        raise TooLarge
    out.write(rest[:at])


def whole(chunks: Iterable[bytes], out: BinaryIO, most: int) -> None:
    """Write an answer that has no parts.

    Raises:
        TooLarge: it goes on beyond the limit.
    """
    written = 0
    for chunk in chunks:
        written += len(chunk)
        if written > most:
            raise TooLarge
        out.write(chunk)


def _after(source: Iterator[bytes], rest: bytes, mark: bytes) -> bytes:
    """What follows a mark near the beginning."""
    while (at := rest.find(mark)) < 0:
        if len(rest) > MOST_HEAD:
            raise Malformed(WHAT, RULE)
        rest += _next(source)
    return rest[at + len(mark) :]


def _next(source: Iterator[bytes]) -> bytes:
    chunk = next(source, None)
    if chunk is None:
        raise Malformed(WHAT, RULE)
    return chunk
