"""A profile: which options of PS3.15 Annex E a hospital uses, and the codes that say so.

Two come with the program; a hospital may write its own as a file with a name and codes. Codes that
this program cannot honestly claim are refused, each with its sentence.

Source: DICOM PS3.15 Annex E.3, PS3.16 CID 7050.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from compliance.canonical import encode, sha256_id
from compliance.errors import NotReady
from site_node.imaging.deid.table import DATES, DEVICE, INSTITUTION, PATIENT, table_sha256
from site_node.imaging.deid.words import lists_sha256

BASIC = "113100"
MODIFIED_DATES, PATIENT_CHARACTERISTICS = "113107", "113108"
DEVICE_IDENTITY, INSTITUTION_IDENTITY = "113109", "113112"
CLEAN_PIXELS = "113101"

MEANINGS = {
    BASIC: "Basic Application Confidentiality Profile",
    MODIFIED_DATES: "Retain Longitudinal Temporal Information Modified Dates Option",
    PATIENT_CHARACTERISTICS: "Retain Patient Characteristics Option",
    DEVICE_IDENTITY: "Retain Device Identity Option",
    INSTITUTION_IDENTITY: "Retain Institution Identity Option",
}
"""Codes of CID 7050 that a profile can choose."""

CLAIMED = MEANINGS | {CLEAN_PIXELS: "Clean Pixel Data Option"}
"""Codes that a copy can carry; this one says that its own pixels were read for text."""

OPTIONS = {
    MODIFIED_DATES: DATES,
    PATIENT_CHARACTERISTICS: PATIENT,
    DEVICE_IDENTITY: DEVICE,
    INSTITUTION_IDENTITY: INSTITUTION,
}
"""The column of the table that a code switches on."""

REFUSED = {
    CLEAN_PIXELS: "Clean Pixel Data is true of single copies: --find-text claims it where it read.",
    "113102": "Clean Recognizable Visual Features needs defacing, which this release has not.",
    "113103": "Clean Graphics cannot be promised: overlays and graphics are removed instead.",
    "113104": "Clean Structured Content cannot be promised: such content is removed instead.",
    "113105": "Clean Descriptors cannot be promised: free text is removed instead.",
    "113106": "Full dates point to a patient: 113107 keeps their distances instead.",
    "113110": "Original UIDs lead back into the PACS: they are replaced instead.",
    "113111": "No private attribute is known to be safe here: all are removed.",
}
"""Codes that are not offered, and why."""

NAME = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)
MOST_BYTES = 65_536
RULES_EDITION = 1


@dataclass(frozen=True)
class Profile:
    """A name and the codes of its options."""

    name: str
    codes: frozenset[str] = frozenset((BASIC,))

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the table that are switched on."""
        return frozenset(OPTIONS[code] for code in self.codes if code in OPTIONS)

    @property
    def moves_dates(self) -> bool:
        """Whether dates are moved; otherwise they are removed or emptied."""
        return MODIFIED_DATES in self.codes

    @property
    def sha256(self) -> str:
        """The hash of what decides: codes, table, closed lists, edition of the rules."""
        told = {"codes": sorted(self.codes), "table": table_sha256(), "lists": lists_sha256()}
        return sha256_id(encode({"name": self.name, "rules": RULES_EDITION, **told}))

    @property
    def digits(self) -> str:
        """Eight digits of that hash, as every copy carries them."""
        return self.sha256.removeprefix("sha256:")[:8]

    def plain(self) -> dict[str, Any]:
        """Name and codes as plain values."""
        return {"name": self.name, "codes": sorted(self.codes)}


TRAINING = Profile("training", frozenset((BASIC, MODIFIED_DATES, PATIENT_CHARACTERISTICS)))
STRICT = Profile("strict")
PROFILES = {profile.name: profile for profile in (TRAINING, STRICT)}


def find_profile(word: str) -> Profile:
    """The profile of a name, or of a hospital's own file.

    Raises:
        NotReady: no such profile, or the file names what is not offered.
    """
    known = PROFILES.get(word)
    return known or _read(Path(word))


def profile_of(told: Any) -> Profile:
    """Check a hospital's own profile.

    Raises:
        NotReady: a field or code is unknown, or not offered.
    """
    if not isinstance(told, dict) or set(told) != {"name", "codes"}:
        raise _wrong("a profile has exactly two fields, name and codes.")
    name, codes = told["name"], told["codes"]
    if not isinstance(name, str) or not NAME.fullmatch(name) or name in PROFILES:
        raise _wrong("its name is taken or is no name (small letters, digits, -, at most 16).")
    if not isinstance(codes, list) or not codes:
        raise _wrong("codes is no list of codes of CID 7050.")
    given = [str(code) for code in codes]
    for code in given:
        if code in REFUSED:
            raise _wrong(f"code {code} is not offered. {REFUSED[code]}")
        if code not in MEANINGS:
            raise _wrong(f"{code[:20]!r} is no code of CID 7050.")
    if BASIC not in given:
        raise _wrong(f"the basic profile {BASIC} is missing; options only add to it.")
    return Profile(name, frozenset(given))


def _read(path: Path) -> Profile:
    try:
        data = path.read_bytes()[: MOST_BYTES + 1]
        if len(data) > MOST_BYTES:
            raise _wrong("the file is too large for a profile.")
        return profile_of(yaml.safe_load(data))
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise NotReady(
            f"the profile {path} cannot be read.",
            f"Use one of {', '.join(PROFILES)}, or a YAML file with name and codes.",
        ) from error


def _wrong(finding: str) -> NotReady:
    offered = ", ".join(sorted(MEANINGS))
    return NotReady(f"the profile cannot be used: {finding}", f"Codes offered: {offered}.")
