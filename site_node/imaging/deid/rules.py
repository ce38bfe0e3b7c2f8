"""The ten rules: what happens to an element, by its tag and type; the first that matches decides.

A rule looks at no value: what happens to an attribute can be printed beforehand, and is, in
`docs/deidentification.md`. Whatever no rule speaks of is removed.

Source: design/imaging.md §7; DICOM PS3.15 Annex E.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from site_node.imaging.deid import actions as do
from site_node.imaging.deid.actions import Action
from site_node.imaging.deid.profiles import Profile
from site_node.imaging.deid.table import DATES, DEVICE, INSTITUTION, PATIENT, Row, table

PIXELS = 0x7FE00010
DATE_TYPES = frozenset(("DA", "DT", "TM"))
BULK = frozenset(("OB", "OW", "OF", "OD", "OL", "OV", "UN"))
SHORT_OR_LONG = frozenset(("LO", "SH", "UC", "AE", "ST", "LT", "UT", "UR", "PN"))
COUNTED = frozenset((*do.NUMBERS, "DS", "IS", "AT"))
LUTS = frozenset(
    (
        0x00281201, 0x00281202, 0x00281203, 0x00281221, 0x00281222, 0x00281223, 0x00283006,
    )
)  # fmt: skip
"""Palettes and look-up tables: the only bulk data beside the pixels that stays."""

PICTURES_OF_IT = frozenset((0x00282000, 0x00880200))
"""ICC Profile and Icon Image Sequence."""

TERM_PARTS = frozenset((0x00080100, 0x00080102, 0x00080104))
TERM_REST = frozenset(
    (
        0x00080103, 0x00080105, 0x00080106, 0x00080107, 0x0008010B, 0x0008010D, 0x0008010F,
        0x00080117, 0x00080118, 0x00080119, 0x00080120, 0x00080121, 0x00080122,
    )
)  # fmt: skip
"""Versions, contexts and long forms of a code."""

WRITTEN = frozenset(
    (
        0x00080005, 0x00100010, 0x00100020, 0x00120062, 0x00120063, 0x00120064, 0x00280303,
        PIXELS,
    )
)  # fmt: skip
MOST_META = 0x0007


@dataclass(frozen=True)
class Attribute:
    """What a rule may look at: tag, type, row of the table if any, whether it is nested."""

    tag: int
    vr: str
    row: Row | None
    nested: bool

    @property
    def group(self) -> int:
        """The first half of its tag."""
        return self.tag >> 16

    @property
    def basic(self) -> str:
        """Its code in the table's basic profile."""
        return self.row.basic if self.row else ""


@dataclass(frozen=True)
class Rule:
    """One rule: its number on the page, its sentence, and its decision, None when it is silent."""

    number: str
    sentence: str
    decide: Callable[[Attribute, Profile], Action | None]


@dataclass(frozen=True)
class Step:
    """What will happen to an attribute, and which rule says so."""

    rule: str
    action: Action


def _written(it: Attribute, _: Profile) -> Action | None:
    return do.OURS if it.tag in WRITTEN and not it.nested else None


def _terms(it: Attribute, _: Profile) -> Action | None:
    if it.tag in TERM_PARTS and it.nested:
        return do.TERM
    return do.REMOVE if it.tag in TERM_REST else None


def _never(it: Attribute, _: Profile) -> Action | None:
    """Rule 1: places where anything may hide."""
    repeating = it.group & 0xFF00 in (0x5000, 0x6000)
    outside = it.group <= MOST_META or it.tag > PIXELS or it.tag & 0xFFFF == 0
    bulk = it.vr in BULK and it.tag not in LUTS
    stranger = not it.group % 2 and not dictionary_has_tag(it.tag)
    if it.group % 2 or repeating or outside or bulk or stranger or it.tag in PICTURES_OF_IT:
        return do.REMOVE
    return None


def _uids(it: Attribute, _: Profile) -> Action | None:
    return do.REMAP if it.vr == "UI" else None


def _options(it: Attribute, profile: Profile) -> Action | None:
    """Rule 3: an option of the profile speaks of the row."""
    if it.row is None:
        return None
    said = {name: it.row.options[name] for name in profile.columns if name in it.row.options}
    if DATES in said and it.vr in DATE_TYPES:
        return do.MOVE
    if said.get(PATIENT) == "K":
        return _characteristic(it.vr)
    if "K" in (said.get(DEVICE), said.get(INSTITUTION)):
        return do.ENTER if it.vr == "SQ" else do.VERBATIM
    return None


def _characteristic(vr: str) -> Action | None:
    """A patient's age, sex, size or weight: kept by its grammar; free text is not kept."""
    if vr == "AS":
        return do.AGE
    if vr == "CS":
        return do.CODES
    return do.NUMBER if vr in COUNTED else None


def _crossed_out(it: Attribute, _: Profile) -> Action | None:
    return do.REMOVE if it.basic == "X" else None


def _references(it: Attribute, _: Profile) -> Action | None:
    return do.ENTER if it.basic == "X/Z/U*" else None


def _emptied(it: Attribute, _: Profile) -> Action | None:
    if it.basic in ("Z", "X/Z") or ("Z" in it.basic and it.vr == "SQ"):
        return do.EMPTY
    return None


def _replaced(it: Attribute, _: Profile) -> Action | None:
    return do.DUMMY if "D" in it.basic else None


def _texts(it: Attribute, _: Profile) -> Action | None:
    return do.WORDS if it.vr in SHORT_OR_LONG else None


def _code_strings(it: Attribute, _: Profile) -> Action | None:
    return do.CODES if it.vr == "CS" else None


def _measured(it: Attribute, profile: Profile) -> Action | None:
    """Rule 10: what is no text."""
    if it.vr in ("DA", "DT"):
        return do.MOVE if profile.moves_dates else do.EMPTY
    if it.vr == "TM":
        return do.TIME
    if it.vr == "AS":
        return do.AGE
    return do.NUMBER if it.vr in COUNTED or it.tag in LUTS else None


def _sequences(it: Attribute, _: Profile) -> Action | None:
    return do.ENTER if it.vr == "SQ" else None


RULES = (
    Rule("a", "What this program writes itself, at the top level: character set, pseudonym, "
         "what was done, pixels.", _written),
    Rule("b", "The parts of a coded term, in an item; its versions and contexts.", _terms),
    Rule("1", "Private groups, curves, overlays, trailing padding, signatures, group lengths, "
         "ICC profile, icon images, bulk data that is neither pixels nor a look-up table, and "
         "attributes that the dictionary does not know.", _never),
    Rule("2", "Every UID, listed or not.", _uids),
    Rule("3", "In the table, and an option of the profile speaks of it.", _options),
    Rule("4", "In the table: X.", _crossed_out),
    Rule("5", "In the table: X/Z/U*, sequences of references.", _references),
    Rule("6", "In the table: Z, X/Z, and any other sequence with a Z in its code.", _emptied),
    Rule("7", "In the table: D, Z/D, X/D, X/Z/D.", _replaced),
    Rule("8", "Outside the table: text.", _texts),
    Rule("9", "Outside the table: code strings.", _code_strings),
    Rule("10", "Outside the table: dates, times, ages, numbers, tags, look-up tables.", _measured),
    Rule("c", "Outside the table: sequences.", _sequences),
)  # fmt: skip


@functools.lru_cache(maxsize=20_000)
def plan(tag: int, vr: str, profile: Profile, *, nested: bool = False) -> Step:
    """What happens to an attribute of this tag and type; removed when no rule speaks of it."""
    attribute = Attribute(tag, vr, table().get(tag), nested)
    for rule in RULES:
        action = rule.decide(attribute, profile)
        if action is not None:
            return Step(rule.number, action)
    return Step("-", do.REMOVE)


@functools.lru_cache(maxsize=20_000)
def true_type(tag: int, written: str | None) -> str | None:
    """The type by which an element is judged, or None when the written one cannot be believed.

    The dictionary's type counts: a name that calls itself a number is no number.
    """
    if not dictionary_has_tag(tag):
        return written or "UN"
    known = dictionary_VR(tag).split(" or ")
    if written == "UN" and known[0] == "SQ":
        return None
    if written in (None, "UN"):
        return "OW" if "OW" in known else known[0]
    if written in known:
        return written
    return known[0] if written in TEXT_TYPES and known[0] in TEXT_TYPES else None


TEXT_TYPES = frozenset(
    ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI",
     "UR", "UT")
)  # fmt: skip
