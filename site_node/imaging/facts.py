"""The few facts of a header that stay: closed words and numbers, never the text that was there.

Whatever is not on a list becomes `other`, whatever is missing `unknown`; nothing else of a header
goes any further than the child process that read it.

Source: DICOM PS3.3 C.7.3.1.1.1 (Modality), C.7.5.1.1 (Manufacturer), PS3.16 Annex L (body parts),
PS3.4 B.5 (classes).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, get_args

from compliance.records.counts import BodyPart, Modality
from compliance.records.measures import GROUPS

OTHER, UNKNOWN, TABLE = "other", "unknown", "table"
MODALITIES = frozenset(get_args(Modality)) - {OTHER, UNKNOWN, TABLE}
BODY_PARTS = frozenset(get_args(BodyPart)) - {OTHER, UNKNOWN}
SPELLINGS = {"thorax": "chest", "chst": "chest", "lungs": "lung", "mamma": "breast"}
MAKERS = frozenset(GROUPS["scanner"]) - {OTHER}
SPELLED = {"toshiba": "canon", "generalelectric": "ge"}
SEXES = {"M": "male", "F": "female", "O": "other"}
ELDEST = 80
AGE = re.compile(r"(\d{3})([DWMY])", re.ASCII)
DATE = re.compile(r"\d{8}", re.ASCII)

CLASSES = {
    "1.2.840.10008.5.1.4.1.1.1": "cr",
    "1.2.840.10008.5.1.4.1.1.1.1": "dx",
    "1.2.840.10008.5.1.4.1.1.1.1.1": "dx-processing",
    "1.2.840.10008.5.1.4.1.1.1.2": "mg",
    "1.2.840.10008.5.1.4.1.1.1.2.1": "mg-processing",
    "1.2.840.10008.5.1.4.1.1.1.3": "io",
    "1.2.840.10008.5.1.4.1.1.1.3.1": "io-processing",
    "1.2.840.10008.5.1.4.1.1.2": "ct",
    "1.2.840.10008.5.1.4.1.1.3.1": "us-multiframe",
    "1.2.840.10008.5.1.4.1.1.4": "mr",
    "1.2.840.10008.5.1.4.1.1.6.1": "us",
    "1.2.840.10008.5.1.4.1.1.7": "sc",
    "1.2.840.10008.5.1.4.1.1.7.2": "sc-byte",
    "1.2.840.10008.5.1.4.1.1.7.3": "sc-word",
    "1.2.840.10008.5.1.4.1.1.7.4": "sc-colour",
    "1.2.840.10008.5.1.4.1.1.12.1": "xa",
    "1.2.840.10008.5.1.4.1.1.12.2": "rf",
    "1.2.840.10008.5.1.4.1.1.20": "nm",
    "1.2.840.10008.5.1.4.1.1.128": "pt",
}
"""Image classes of a 2D recipe."""

SOLID = {
    "1.2.840.10008.5.1.4.1.1.2": "ct",
    "1.2.840.10008.5.1.4.1.1.2.1": "ct-enhanced",
    "1.2.840.10008.5.1.4.1.1.2.2": "ct-converted",
    "1.2.840.10008.5.1.4.1.1.4": "mr",
    "1.2.840.10008.5.1.4.1.1.4.1": "mr-enhanced",
    "1.2.840.10008.5.1.4.1.1.4.4": "mr-converted",
    "1.2.840.10008.5.1.4.1.1.128": "pt",
    "1.2.840.10008.5.1.4.1.1.128.1": "pt-converted",
    "1.2.840.10008.5.1.4.1.1.130": "pt-enhanced",
}
"""Image classes of a 3D recipe, one slice or many per object."""

SEGMENTATIONS = {"1.2.840.10008.5.1.4.1.1.66.4": "seg"}
RECEIVED = tuple(dict.fromkeys((*CLASSES, *SOLID, *SEGMENTATIONS)))
"""What is taken from a PACS: everything that some recipe reads."""

OFTEN_WRITTEN_ON = ("us", "sc")
"""Classes whose pixels often carry a name (ultrasound, screen captures)."""


def word_of(value: Any, known: frozenset[str], spellings: dict[str, str] | None = None) -> str:
    """A closed word for a header's text."""
    bare = _letters(str(value or ""))
    if not bare:
        return UNKNOWN
    bare = (spellings or {}).get(bare, bare)
    return bare if bare in known else OTHER


@lru_cache(maxsize=1 << 12)
def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def facts_of(header: Any, kind: str) -> tuple[dict[str, str], list[str]]:
    """Words that stay, and what was missing.

    Args:
        header: the parsed data set; read here, kept nowhere.
        kind: word of its class.
    """
    facts = {
        "class": kind,
        "modality": word_of(header.get("Modality"), MODALITIES),
        "body_part": word_of(header.get("BodyPartExamined"), BODY_PARTS, SPELLINGS),
        "sex": SEXES.get(str(header.get("PatientSex") or "").strip().upper(), UNKNOWN),
        "age": age_of(header),
        "scanner": scanner_of(header),
    }
    names = {"body_part": "body_part_missing", "sex": "sex_missing", "age": "age_missing"}
    missing = [finding for name, finding in names.items() if facts[name] == UNKNOWN]
    if not DATE.fullmatch(str(header.get("StudyDate") or "").strip()):
        missing.append("date_missing")
    return facts, missing


def scanner_of(header: Any) -> str:
    """Who made the scanner, by the first word that is on the list."""
    words = [_letters(word) for word in str(header.get("Manufacturer") or "").split()]
    known = [SPELLED.get(word, word) for word in words if SPELLED.get(word, word) in MAKERS]
    return known[0] if known else OTHER if any(words) else UNKNOWN


def age_of(header: Any) -> str:
    """The decade of life at the examination, such as `60-69`; from 80 on everybody together."""
    return _decade(
        str(header.get("PatientAge") or "").strip(),
        str(header.get("PatientBirthDate") or "").strip(),
        str(header.get("StudyDate") or "").strip(),
    )


@lru_cache(maxsize=1 << 12)
def _decade(age: str, born: str, seen: str) -> str:
    years = _years(age)
    if years is None and DATE.fullmatch(born) and DATE.fullmatch(seen) and born <= seen:
        years = (int(seen) - int(born)) // 10_000
    return UNKNOWN if years is None else decade_of(years)


def decade_of(years: int) -> str:
    """The decade of an age in whole years, such as `60-69`; from 80 on everybody together."""
    decade = years // 10 * 10
    return f"{ELDEST}+" if years >= ELDEST else f"{decade}-{decade + 9}"


def _years(text: str) -> int | None:
    found = AGE.fullmatch(text)
    if found is None:
        return None
    count, unit = int(found[1]), found[2]
    return count if unit == "Y" else int(count / {"D": 365, "W": 52, "M": 12}[unit])
