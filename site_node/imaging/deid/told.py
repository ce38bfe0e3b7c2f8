"""What was done to an object: tags and counts, never a value."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydicom.datadict import dictionary_has_tag

from site_node.imaging.deid import actions as do
from site_node.imaging.deid.profiles import (
    BASIC,
    CLEAN_PIXELS,
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

Notes: TypeAlias = tuple[tuple[str, str, int], ...]
"""Place, word and count."""


@dataclass
class Actions:
    """Counts by place of an element and by what happened to it.

    Args:
        profile: by which it was done.
        parts: counts of elements of the top level, each with everything in it.
        claims: codes of CID 7050 that are true.
    """

    profile: Profile
    parts: list[Notes] = field(default_factory=list)
    claims: set[str] = field(default_factory=set)
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def note(self, path: tuple[int, ...], vr: str, action: do.Action, *, left: bool) -> None:
        """Count one element; `left` says whether a value is left of it."""
        tag = path[-1]
        if left:
            self._claim(tag, vr, action)
        self.counts[_place(path, action), action.word] += 1

    def notes(self) -> Notes:
        """What was counted here, in a fixed order."""
        return tuple((*key, n) for key, n in sorted(self.counts.items()))

    @property
    def signature(self) -> tuple[Any, ...]:
        """Equal for two objects to which the same was done, element by element."""
        return (*self.codes, *self.notes(), *self.parts)

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
        return sorted({BASIC, *self.claims} & {*self.profile.codes, CLEAN_PIXELS})

    def note_pixels(self, *, frames: int, blanked: int) -> None:
        """Count frames that were read for text and places that were blanked; claims the code."""
        self.claims.add(CLEAN_PIXELS)
        self.counts["pixels", "read"] += frames
        self.counts["pixels", "blanked"] += blanked

    def plain(self) -> dict[str, Any]:
        """The same as plain values, in a fixed order."""
        sums: Counter[tuple[str, str]] = Counter()
        for place, word, n in itertools.chain(self.notes(), *self.parts):
            sums[place, word] += n
        told: dict[str, dict[str, int]] = defaultdict(dict)
        for (place, word), n in sorted(sums.items()):
            told[place][word] = n
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
