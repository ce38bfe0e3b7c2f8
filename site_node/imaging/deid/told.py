"""What was done to an object: tags and counts, never a value."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydicom.datadict import dictionary_has_tag

from site_node.imaging.deid import actions as do
from site_node.imaging.deid.profiles import (
    BASIC,
    DEVICE_IDENTITY,
    INSTITUTION_IDENTITY,
    MODIFIED_DATES,
    PATIENT_CHARACTERISTICS,
    Profile,
)
from site_node.imaging.deid.table import DEVICE, INSTITUTION, PATIENT, table

KEPT = frozenset((do.NUMBER.word, do.TIME.word, do.ENTER.word, do.TERM.word))
"""What stays as it is: counted in one sum, because a list of it would be a list of the header."""

DATE_TYPES = frozenset(("DA", "DT"))


@dataclass
class Actions:
    """Counts by place of an element and by what happened to it.

    Args:
        profile: by which it was done.
    """

    profile: Profile
    counts: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    claims: set[str] = field(default_factory=set)

    def note(self, path: tuple[int, ...], vr: str, action: do.Action, *, left: bool) -> None:
        """Count one element; `left` says whether a value is left of it."""
        tag = path[-1]
        if left:
            self._claim(tag, vr, action)
        self.counts[_place(path, action)][action.word] += 1

    def _claim(self, tag: int, vr: str, action: do.Action) -> None:
        """Derive the code that this element makes true."""
        if action is do.MOVE and vr in DATE_TYPES:
            self.claims.add(MODIFIED_DATES)
        row = table().get(tag)
        options = row.options if row else {}
        if PATIENT in options and action in (do.AGE, do.CODES, do.NUMBER):
            self.claims.add(PATIENT_CHARACTERISTICS)
        if action is do.VERBATIM:
            kept = DEVICE_IDENTITY if DEVICE in options else ""
            self.claims.add(INSTITUTION_IDENTITY if INSTITUTION in options else kept)

    @property
    def codes(self) -> list[str]:
        """Codes of CID 7050 that are true of this object, the basic profile first."""
        return sorted({BASIC, *self.claims} & self.profile.codes)

    def plain(self) -> dict[str, Any]:
        """The same as plain values, in a fixed order."""
        told = {place: dict(sorted(words.items())) for place, words in sorted(self.counts.items())}
        return {"profile": self.profile.name, "codes": self.codes, **told}


def _place(path: tuple[int, ...], action: do.Action) -> str:
    tag = path[-1]
    if action.word in KEPT:
        return "kept"
    if tag >> 16 & 1:
        return "private"
    if not dictionary_has_tag(tag):
        return "unknown"
    return "/".join(f"{part:08X}" for part in path)


def total(parts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum what was done over many objects, by place and word; codes count objects."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for part in parts:
        sums["codes"].update(part["codes"])
        for place, words in part.items():
            if isinstance(words, Mapping):
                sums[place].update(words)
    return {place: dict(sorted(words.items())) for place, words in sorted(sums.items())}
