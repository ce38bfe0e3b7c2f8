"""Coded terms: three values that stay only when a public dictionary or a check digit vouches.

A code is a number, and so is a patient's. A term stays when its scheme is on the list and its value
is in the dictionary of `pydicom.sr` or has the form and check digit of its scheme; its meaning is
replaced by the dictionary's, because text beside a code is still free text.

Source: DICOM PS3.16 §8; SNOMED CT identifiers end with a Verhoeff digit, LOINC with a Luhn digit.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

from pydicom.sr._concepts_dict import concepts
from pydicom.sr._snomed_dict import mapping

MOST_MEANING = 64
FORMS = {
    "SCT": re.compile(r"[1-9]\d{5,17}", re.ASCII),
    "LN": re.compile(r"[1-9]\d{0,4}-\d", re.ASCII),
}
"""Schemes whose values carry a check digit; of the others only values of the dictionary stay."""

OLD_SNOMED = ("SNM3", "99SDM")
SCHEMES = frozenset(("DCM", "SCT", "SRT", "UCUM", "FMA", "RADLEX", "LN", *OLD_SNOMED))

_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_TURNS = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
CONCEPTS = ("00", "10")
TEN, NINE = 10, 9


class Term(NamedTuple):
    """A coded term as it is written into a copy."""

    value: str
    scheme: str
    meaning: str


def clean_term(value: str, scheme: str) -> Term | None:
    """The term as it may stay, or None when nobody vouches for it."""
    if scheme not in SCHEMES:
        return None
    meaning = _meanings().get((scheme, value))
    if meaning is None and not _has_form(value, scheme):
        return None
    return Term(value, scheme, (meaning or value)[:MOST_MEANING].strip())


def _has_form(value: str, scheme: str) -> bool:
    form = FORMS.get(scheme)
    if form is None or not form.fullmatch(value):
        return False
    if scheme == "SCT":
        return value[-3:-1] in CONCEPTS and _verhoeff(value)
    return _luhn(value.replace("-", ""))


def _verhoeff(number: str) -> bool:
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = int(_TIMES[check][int(_TURNS[place % 8][int(digit)])])
    return check == 0


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        twice = int(digit) * (1 + place % 2)
        total += twice - NINE if twice > NINE else twice
    return total % TEN == 0


@functools.cache
def _meanings() -> dict[tuple[str, str], str]:
    """Meaning by scheme and value, from the dictionary of PS3.16 that pydicom carries."""
    every: Mapping[str, Mapping[str, Mapping[str, tuple[str, object]]]] = cast("Any", concepts)
    found = {
        (scheme, value): told[0]
        for scheme, words in every.items()
        if scheme in SCHEMES
        for values in words.values()
        for value, told in values.items()
    }
    for old, new in mapping["SRT"].items():
        meaning = found.get(("SCT", new), "")
        for scheme in ("SRT", *OLD_SNOMED):
            found[scheme, old] = meaning or old
    return found
