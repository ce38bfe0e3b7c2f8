"""PS3.15 Table E.1-1: what the standard says of each attribute that may name somebody.

The file beside this one is the table of DICOM 2024e as JSON, copied unchanged from
`innolitics/dicom-standard` (MIT, its notice lies beside it).
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("e1_1.json")
EDITION = "2024e"

PATIENT, DATES = "rtnPatCharsOpt", "rtnLongModifDatesOpt"
DEVICE, INSTITUTION = "rtnDevIdOpt", "rtnInstIdOpt"


@dataclass(frozen=True)
class Row:
    """One attribute: its code in the basic profile, and what each option says (K keep, C clean)."""

    tag: int
    name: str
    basic: str
    options: dict[str, str] = field(default_factory=dict, hash=False)


@functools.cache
def table() -> dict[int, Row]:
    """Every row by tag; the four rows that are patterns are rule 1, which goes further."""
    rows = {}
    for told in json.loads(FILE.read_text(encoding="utf-8")):
        try:
            tag = int(told["id"], 16)
        except ValueError:
            continue
        options = {name: word for name, word in told.items() if name.endswith("Opt")}
        rows[tag] = Row(tag, told["name"], told["basicProfile"], options)
    return rows


@functools.cache
def table_sha256() -> str:
    """The hash of the file, part of every profile's own."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()
