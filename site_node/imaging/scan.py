"""The structure of a DICOM byte string, walked without pydicom: iterative, bounded, no value kept.

Why: 1000 nested sequences in 20 KB keep a recursive reader busy for half a minute, a deflated file
of 400 KB takes 850 MB, and a file cut in its header reads without any error (all measured). Here
every length must fit its parent and every count has a limit, before anything else looks.

Source: DICOM PS3.5 §7 (elements, sequences), Annex A (transfer syntaxes); design/imaging.md §4.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

from compliance.records.reasons import Quarantine
from site_node.imaging.file_meta import (
    BIG_ENDIAN,
    DEFLATED,
    IMPLICIT,
    LONG,
    LONG_HEADER,
    SHORT_HEADER,
    Buffer,
    begin,
    typed,
)
from site_node.imaging.outcomes import Quarantined

MOST_DEPTH = 32
MOST_ELEMENTS = 250_000
MOST_ITEMS = 200_000
MOST_INFLATED = 128 << 20

UNDEFINED = 0xFFFFFFFF
PIXELS = 0x7FE00010
SHORT = frozenset(
    (
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN",
        b"SH", b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
    )
)  # fmt: skip
"""Types with a length of two bytes: nothing can be inside them."""

ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD


@dataclass
class Outline:
    """Where things are in a file whose structure holds.

    `data` is the file or, when it was deflated, what came out; offsets count in it. `header` ends
    where the pixel data element begins. `fragments` are (offset, length) of encapsulated pixels,
    the offset table first. `top` lists the elements before the pixels as (tag, type letters, offset
    and length of the value); `open_ended` says that one of them has no length of its own.
    """

    data: Buffer
    syntax: str
    implicit: bool
    little: bool
    start: int
    header: int
    pixels: tuple[int, int] | None = None
    fragments: list[tuple[int, int]] = field(default_factory=list)
    encapsulated: bool = False
    elements: int = 0
    depth: int = 0
    top: list[tuple[int, bytes, int, int]] = field(default_factory=list)
    open_ended: bool = False


@dataclass
class _Level:
    end: int | None
    sequence: bool
    implicit: bool


def scan(data: Buffer) -> Outline:
    """Walk the whole structure once.

    Raises:
        Quarantined: not DICOM, truncated, malformed, or beyond a limit.
        Skipped: a DICOMDIR.
    """
    start, syntax = begin(data)
    if syntax == DEFLATED:
        data, start = _inflate(data[start:]), 0
    found = Outline(
        data, syntax, syntax == IMPLICIT, syntax != BIG_ENDIAN, start=start, header=len(data)
    )
    _Walk(found).run()
    return found


def _inflate(packed: Buffer) -> bytes:
    try:
        unpack = zlib.decompressobj(-zlib.MAX_WBITS)
        data = unpack.decompress(bytes(packed), MOST_INFLATED)
    except zlib.error:
        raise Quarantined(Quarantine.MALFORMED) from None
    if unpack.unconsumed_tail:
        raise Quarantined(Quarantine.INFLATES_TOO_LARGE)
    if not unpack.eof:
        raise Quarantined(Quarantine.TRUNCATED)
    return data


class _Walk:
    """One pass over a data set; the stack is a list, so depth costs no recursion."""

    def __init__(self, outline: Outline) -> None:
        self.out, self.data, self.at = outline, outline.data, outline.start
        order = "<" if outline.little else ">"
        self._tag, self._short = struct.Struct(order + "HH"), struct.Struct(order + "H")
        self._long, self._plain = struct.Struct(order + "I"), struct.Struct(order + "HH2sH")
        self.levels = [_Level(len(outline.data), sequence=False, implicit=outline.implicit)]
        self.items = 0

    def run(self) -> None:
        """Walk until every level is closed."""
        while self.levels:
            top = self.levels[-1]
            if top.end is not None and self.at >= top.end:
                if self.at > top.end:
                    raise Quarantined(Quarantine.MALFORMED)
                self.levels.pop()
            elif top.sequence:
                self._item(top)
            elif not self._stretch(top) and not self._padding(top):
                self._element(top)

    def _stretch(self, top: _Level) -> bool:
        """Step over elements that can hold nothing, one after another: most of a file is such.

        Whatever is not plain, or does not fit, is left to the careful way.
        """
        if top.implicit:
            return False
        data, at, unpack = self.data, self.at, self._plain.unpack_from
        end = len(data) if top.end is None else top.end
        outer = len(self.levels) == 1 and self.out.pixels is None
        room = MOST_ELEMENTS - self.out.elements
        count = 0
        while at + SHORT_HEADER <= end and count < room:
            group, element, kind, length = unpack(data, at)
            after = at + SHORT_HEADER + length
            tag = group << 16 | element
            if kind not in SHORT or after > end or tag in (PIXELS, ITEM_END):
                break
            if outer:
                self.out.top.append((tag, kind, at + SHORT_HEADER, length))
            count, at = count + 1, after
        self.at, self.out.elements = at, self.out.elements + count
        return count > 0

    def _padding(self, top: _Level) -> bool:
        """Whether only a few zeros are left at the very end, as some writers leave them."""
        rest = len(self.data) - self.at
        if len(self.levels) == 1 and rest < SHORT_HEADER and not any(self.data[self.at :]):
            self.at = len(self.data)
            return True
        if rest < SHORT_HEADER:
            raise Quarantined(Quarantine.TRUNCATED)
        return False

    def _read_tag(self) -> int:
        group, element = self._tag.unpack_from(self.data, self.at)
        return (group << 16) | element

    def _item(self, top: _Level) -> None:
        if self.at + SHORT_HEADER > len(self.data):
            raise Quarantined(Quarantine.TRUNCATED)
        tag = self._read_tag()
        (length,) = self._long.unpack_from(self.data, self.at + 4)
        self.at += SHORT_HEADER
        if tag == SEQUENCE_END and top.end is None:
            self.levels.pop()
            return
        if tag != ITEM:
            raise Quarantined(Quarantine.MALFORMED)
        self.items += 1
        if self.items > MOST_ITEMS:
            raise Quarantined(Quarantine.TOO_MANY_ELEMENTS)
        self._open(length, sequence=False, implicit=top.implicit)

    def _element(self, top: _Level) -> None:
        tag = self._read_tag()
        if tag == ITEM_END and top.end is None:
            self.at += SHORT_HEADER
            self.levels.pop()
            return
        self.out.elements += 1
        if self.out.elements > MOST_ELEMENTS:
            raise Quarantined(Quarantine.TOO_MANY_ELEMENTS)
        kind, head, length = self._header(top)
        begin, self.at = self.at, self.at + head
        outer = len(self.levels) == 1
        if tag == PIXELS and outer:
            self._pixels(begin, length)
            return
        if outer and self.out.pixels is None:
            self.out.top.append((tag, kind, self.at, length))
            self.out.open_ended |= length == UNDEFINED
        if kind == b"SQ" or length == UNDEFINED or self._holds_items(kind, length):
            implicit = top.implicit or kind == b"UN"
            self._open(length, sequence=True, implicit=implicit)
        else:
            self.at += length
            self._check_fit(top)

    def _header(self, top: _Level) -> tuple[bytes, int, int]:
        """Type letters (empty when implicit), size of the header, length of the value."""
        if top.implicit:
            return b"", SHORT_HEADER, self._long.unpack_from(self.data, self.at + 4)[0]
        kind = bytes(self.data[self.at + 4 : self.at + 6])
        if not typed(kind):
            raise Quarantined(Quarantine.MALFORMED)
        if kind not in LONG:
            return kind, SHORT_HEADER, self._short.unpack_from(self.data, self.at + 6)[0]
        if self.at + LONG_HEADER > len(self.data):
            raise Quarantined(Quarantine.TRUNCATED)
        return kind, LONG_HEADER, self._long.unpack_from(self.data, self.at + 8)[0]

    def _holds_items(self, kind: bytes, length: int) -> bool:
        """Whether an implicit value is a sequence: its first bytes are those of an item."""
        if kind or length < SHORT_HEADER or self.at + SHORT_HEADER > len(self.data):
            return False
        return self._read_tag() == ITEM

    def _open(self, length: int, *, sequence: bool, implicit: bool) -> None:
        end = None if length == UNDEFINED else self.at + length
        if end is not None and end > len(self.data):
            raise Quarantined(Quarantine.TRUNCATED)
        depth = sum(level.sequence for level in self.levels) + sequence
        self.out.depth = max(self.out.depth, depth)
        if depth > MOST_DEPTH:
            raise Quarantined(Quarantine.TOO_DEEP)
        self.levels.append(_Level(end, sequence=sequence, implicit=implicit))

    def _check_fit(self, top: _Level) -> None:
        if self.at > len(self.data):
            raise Quarantined(Quarantine.TRUNCATED)
        if top.end is not None and self.at > top.end:
            raise Quarantined(Quarantine.MALFORMED)

    def _pixels(self, begin: int, length: int) -> None:
        self.out.header = begin
        if length != UNDEFINED:
            self.out.pixels = (self.at, length)
            self.at += length
            self._check_fit(self.levels[0])
            return
        start, self.out.encapsulated = self.at, True
        while True:
            if self.at + SHORT_HEADER > len(self.data):
                raise Quarantined(Quarantine.TRUNCATED)
            tag = self._read_tag()
            (size,) = self._long.unpack_from(self.data, self.at + 4)
            self.at += SHORT_HEADER
            if tag == SEQUENCE_END:
                break
            if tag != ITEM or size == UNDEFINED:
                raise Quarantined(Quarantine.MALFORMED)
            self.items += 1
            if self.items > MOST_ITEMS:
                raise Quarantined(Quarantine.TOO_MANY_ELEMENTS)
            self.out.fragments.append((self.at, size))
            self.at += size
            self._check_fit(self.levels[0])
        self.out.pixels = (start, self.at - start)
