"""A DICOM file with a unique token in every place where an identifier could stand.

The bytes are laid down here by hand, not by the library that reads them: a token may stand where a
writer would refuse it, such as letters in a number.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from pydicom.datadict import DicomDictionary, dictionary_VR

from tests.site_node.imaging.e1_1 import rows

CT = "1.2.840.10008.5.1.4.1.1.2"
CHAIN = 0x00081115
"""Referenced Series Sequence, outside the table: it stays, and everything nests in it."""

LONG = ("OB", "OW", "OF", "OD", "OL", "OV", "UN", "SQ", "UC", "UR", "UT", "UV", "SV")
TEXTS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
NUMBERS = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "FL": "<f", "FD": "<d"}
DERIVED_UID = re.compile(rb"2\.25\.\d{30,39}")
OTHERS = ("US", "UL", "FD", "AT", "DS", "TM", "DA", "UI", "SV")
"""Type letters behind which a lying file hides a text."""

STAYS = (0x00101020, 0x00101030, 0x00101010)
"""Size, weight and age: `training` keeps them, so no token is looked for there."""

SHAPE = (0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102,
         0x00280103, 0x00280006, 0x00280008)  # fmt: skip
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass
class Canaries:
    """Makes tokens, remembers each with its place, and finds those that got out.

    Args:
        seed: of everything here; printed when a test fails.
        implicit: whether elements carry no type letters.
        lies: text in the place of dates, times and numbers, and text that calls itself a number.
        tint: added to every pixel, for another picture.
    """

    seed: int
    implicit: bool = False
    lies: bool = False
    tint: int = 0
    planted: dict[bytes, str] = field(default_factory=dict)
    days: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    # ------------------------------------------------------------------------------ tokens

    def word(self, place: str) -> str:
        """Thirteen letters that stand nowhere else."""
        made = "QX" + "".join(self._random.choice(list(LETTERS), 11))
        self.planted[made.encode()] = place
        return made

    def uid(self, place: str) -> str:
        """A UID that stands nowhere else."""
        made = "1.2.826.0.1." + str(self._random.integers(10**14, 10**15))
        self.planted[made.encode()] = place
        return made

    def day(self, place: str) -> str:
        """A day of 2011: moved by a year and more it cannot be another day of 2011."""
        made = f"2011{self._random.integers(1, 13):02}{self._random.integers(1, 29):02}"
        self.days[made] = place
        return made

    def value(self, tag: int, vr: str, place: str) -> bytes:
        """A value of this type with a token in it."""
        if vr in TEXTS or (self.lies and vr in ("AS", "DA", "DT", "TM", "DS", "IS")):
            return self.word(place).encode()
        if vr == "UI":
            return self.uid(place).encode()
        if vr in ("DA", "DT"):
            return (self.day(place) + ("101112.345678" if vr == "DT" else "")).encode()
        if vr in ("DS", "IS"):
            return self._number(tag, place)
        if vr in NUMBERS:
            return struct.pack(NUMBERS[vr], 7)
        return {"AS": b"041Y", "TM": b"101112.5"}.get(vr) or self.word(place).encode()

    def _number(self, tag: int, place: str) -> bytes:
        made = str(self._random.integers(10**8, 10**9)).encode()
        if tag not in STAYS:
            self.planted[made] = place
        return made

    # ------------------------------------------------------------------------------ elements

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        """One element in little endian."""
        value += (b"\0" if vr in ("UI", "OB", "UN") else b" ") * (len(value) % 2)
        head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
        if self.implicit:
            return head + struct.pack("<I", len(value)) + value
        if vr in LONG:
            return head + vr.encode() + struct.pack("<HI", 0, len(value)) + value
        return head + vr.encode() + struct.pack("<H", len(value)) + value

    def sequence(self, tag: int, *items: bytes) -> bytes:
        """A sequence of defined length."""
        packed = [struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items]
        return self.element(tag, "SQ", b"".join(packed))

    def item(self, place: str) -> bytes:
        """An item with a name, a text, a UID and a private element."""
        return b"".join(
            [
                self.element(0x00081155, "UI", self.uid(place + "/uid").encode()),
                self.element(0x00091001, "LO", self.word(place + "/private").encode()),
                self.element(0x00100010, "PN", self.word(place + "/name").encode()),
                self.element(0x00204000, "LT", self.word(place + "/text").encode()),
            ]
        )

    def coded_item(self, place: str) -> bytes:
        """The same with a code that nobody knows."""
        code = [
            self.element(0x00080100, "SH", self.word(place + "/code").encode()),
            self.element(0x00080102, "SH", b"DCM"),
            self.element(0x00080104, "LO", self.word(place + "/meaning").encode()),
        ]
        return b"".join(code) + self.item(place)

    def table_row(self, tag: int, place: str) -> bytes:
        """A row of the table with its canary."""
        vr = dictionary_VR(tag).split(" or ")[0]
        if vr == "SQ":
            where = f"{place} {tag:08x}"
            return self.sequence(tag, self.item(where), self.coded_item(where))
        return self.element(tag, vr, self.value(tag, vr, f"{place} {tag:08x} {vr}"))

    # ------------------------------------------------------------------------------ the file

    def level(self, place: str, *, top: bool = False) -> dict[int, bytes]:
        """Every row of the table, and every other place, as elements of one level."""
        made = {tag: self.table_row(tag, place) for tag in rows() if top or tag >> 16 > 7}
        made |= self._private(place) | self._strangers(place) | self._codes(place)
        for tag in self._outside():
            vr = DicomDictionary[tag][0]
            value = self.value(tag, vr, f"{place} {tag:08x} outside")
            if self.lies and vr in TEXTS:
                vr, value = str(self._random.choice(OTHERS)), value.ljust(16)
            made[tag] = self.element(tag, vr, value)
        return made

    def _outside(self) -> list[int]:
        """Attributes that the table does not know: some at random, and every date."""
        here = [
            tag for tag, told in DicomDictionary.items()
            if told[0] in TEXTS and tag not in rows() and 8 <= tag >> 16 < 0x5000
            and tag not in SHAPE and (tag >> 16, tag & 0xFFF0) != (8, 0x100)
            and tag not in (0x00080005, 0x00080060)
        ]  # fmt: skip
        dates = [
            tag for tag, told in DicomDictionary.items()
            if told[0] in ("DA", "DT") and tag not in rows() and tag >> 16 < 0x5000
        ]  # fmt: skip
        return [*(int(tag) for tag in self._random.choice(here, 80, replace=False)), *dates]

    def _private(self, place: str) -> dict[int, bytes]:
        return {
            0x00090010: self.element(0x00090010, "LO", self.word(f"{place} creator").encode()),
            0x00091002: self.element(0x00091002, "UN", self.word(f"{place} private UN").encode()),
            0x00091003: self.sequence(0x00091003, self.item(f"{place} private sequence")),
            0x7FE11001: self.element(0x7FE11001, "OB", self.word(f"{place} private OB").encode()),
        }

    def _strangers(self, place: str) -> dict[int, bytes]:
        told = {
            0x00089FF0: "LO", 0x50000022: "LO", 0x50043000: "OW", 0x60000022: "LO",
            0x60003000: "OW", 0x60004000: "LT", 0x60020022: "LO", 0x00282000: "OB",
        }  # fmt: skip
        made = {
            tag: self.element(tag, vr, self.word(f"{place} {tag:08x}").encode())
            for tag, vr in told.items()
        }
        return made | {0x00880200: self.sequence(0x00880200, self.item(f"{place} icon"))}

    def _codes(self, place: str) -> dict[int, bytes]:
        """Coded terms: a good code with a bad meaning, and bad codes of good schemes."""
        items = []
        for scheme, value in (("SCT", "39607008"), ("SRT", "T-28000"), ("99MINE", "1"),
                              ("UCUM", ""), ("FMA", ""), ("LN", ""), ("RADLEX", "")):  # fmt: skip
            code = value or self.word(f"{place} {scheme} value")
            items.append(
                self.element(0x00080100, "SH", code.encode())
                + self.element(0x00080102, "SH", scheme.encode())
                + self.element(0x00080103, "SH", self.word(f"{place} version").encode())
                + self.element(0x00080104, "LO", self.word(f"{place} meaning").encode())
                + self.element(0x00080119, "UC", self.word(f"{place} long code").encode())
            )
        return {0x00540220: self.sequence(0x00540220, *items)}

    def _fixed(self) -> dict[int, bytes]:
        numbers = {0x00280002: 1, 0x00280010: 8, 0x00280011: 8, 0x00280100: 16, 0x00280101: 12,
                   0x00280102: 11, 0x00280103: 0}  # fmt: skip
        made = {tag: self.element(tag, "US", struct.pack("<H", n)) for tag, n in numbers.items()}
        texts = {0x00080016: ("UI", CT), 0x00080060: ("CS", "CT"), 0x00080008: ("CS", "ORIGINAL"),
                 0x00280004: ("CS", "MONOCHROME2"), 0x00080070: ("LO", "SIEMENS"),
                 0x00281053: ("DS", "1"), 0x00280030: ("DS", "0.5\\0.5"),
                 0x00080030: ("TM", "101112.5"), 0x00100040: ("CS", "F")}  # fmt: skip
        return made | {
            tag: self.element(tag, vr, text.encode()) for tag, (vr, text) in texts.items()
        }

    def file(self, depths: tuple[int, ...] = (1, 2, 8)) -> bytes:
        """The whole file: preamble, meta, data set, pixels with overlay bits, what is behind."""
        made = self.level("top", top=True) | self._fixed()
        chains = [self._chain(depth) for depth in depths]
        made[CHAIN] = self.sequence(CHAIN, *chains)
        made[0x7FE00010] = self.element(0x7FE00010, "OW", self.pixels() + self._behind())
        made[0xFFFAFFFA] = self.sequence(0xFFFAFFFA, self.item("signature"))
        made[0xFFFCFFFC] = self.element(0xFFFCFFFC, "OB", self.word("trailing").encode())
        body = b"".join(made[tag] for tag in sorted(made))
        preamble = (self.word("preamble") * 10).encode()[:128]
        return preamble + b"DICM" + self._meta() + body

    def _chain(self, depth: int) -> bytes:
        level = self.level(f"depth {depth}")
        inner = b"".join(level[tag] for tag in sorted(level))
        for _ in range(depth - 1):
            inner = self.sequence(CHAIN, inner)
        return inner

    def pixels(self) -> bytes:
        """Sixty-four values of 12 bits, and an overlay in the four bits above."""
        values = (np.arange(64, dtype="<u2") * 61 + self.tint) | 0xA000
        return values.tobytes()

    def _behind(self) -> bytes:
        return (self.word("behind the pixels") * 2).encode()

    def _meta(self) -> bytes:
        plain = Canaries(self.seed)
        syntax = "1.2.840.10008.1.2" if self.implicit else "1.2.840.10008.1.2.1"
        rows = [
            (0x00020002, "UI", CT), (0x00020003, "UI", self.uid("meta instance")),
            (0x00020010, "UI", syntax), (0x00020012, "UI", self.uid("meta implementation")),
            (0x00020013, "SH", self.word("meta version")),
            (0x00020016, "AE", self.word("meta source")),
            (0x00020100, "UI", self.uid("meta private creator")),
            (0x00020102, "OB", self.word("meta private")),
        ]  # fmt: skip
        body = b"".join(plain.element(tag, vr, text.encode()) for tag, vr, text in rows)
        return plain.element(0x00020000, "UL", struct.pack("<I", len(body))) + body

    # ------------------------------------------------------------------------------ the search

    def at(self, place: str) -> str:
        """The token that was planted in a place."""
        return next(token.decode() for token, found in self.planted.items() if found == place)

    def leaks(self, *places: bytes) -> Iterator[str]:
        """Where the tokens stood that are found in these bytes.

        A number of nine digits is looked for outside of UIDs that are derived by a secret: they
        are 39 random digits each, and one in some hundred runs holds one of our numbers by chance.
        """
        for data in places:
            apart = DERIVED_UID.sub(b"2.25.", data)
            for token, place in self.planted.items():
                looked = apart if token.isdigit() else data
                if token in looked or token.lower() in looked:
                    yield f"{place} ({token.decode()})"
            for found in re.finditer(rb"(?<![\d.])2011[01]\d[0-3]\d(?=101112|[^\d.]|$)", data):
                if found[0].decode() in self.days:
                    yield f"{self.days[found[0].decode()]} ({found[0].decode()})"
