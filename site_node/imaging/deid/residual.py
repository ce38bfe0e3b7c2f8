"""The second look: does any value of the copy repeat what named the patient in the original?

The rules decide by attribute; this looks at values, and catches what a rule forgot. A hit means
that nothing is written. Names in scripts that put no space between words are searched inside words
too. Words of the public lists are no hit: a patient may be called Head.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset

from site_node.imaging.deid import actions as do
from site_node.imaging.deid.elements import (
    Element,
    values_of,
    verbatim_of,
    walk,
    walk_from,
    written_type,
)
from site_node.imaging.deid.rules import TEXT_TYPES, WRITTEN, true_type
from site_node.imaging.deid.words import plain_words, words_in

IDS = frozenset(
    (
        0x00080050, 0x00100020, 0x00101000, 0x00101001, 0x00101060, 0x00101090, 0x00102154,
        0x00101050, 0x00380010, 0x00380060, 0x00400009, 0x00401001, 0x00402016, 0x00402017,
        0x00404025, 0x00200010,
    )
)  # fmt: skip
"""Numbers of patient, visit, order and study, and telephone numbers."""

BIRTH = 0x00100030
LEAST_NAME, LEAST_PART, LEAST_ID, LEAST_ID_AMONG_NUMBERS = 3, 2, 4, 6
NUMERIC = frozenset(("DS", "IS", "TM", "DA", "DT", "AS"))
UID_LIKE = re.compile(r"\d+(?:\.\d+){3,}", re.ASCII)
OUR_WORDS = frozenset(
    word.casefold() for word in (do.REMOVED_TEXT, do.NO_DATE, do.NO_MOMENT, do.NO_TIME)
)


@functools.cache
def _harmless() -> frozenset[str]:
    return plain_words() | OUR_WORDS


@dataclass(frozen=True, slots=True)
class Told:
    """What a copy says: every word and number that stands in it, and whatever looks like a UID."""

    words: frozenset[str] = frozenset()
    counted: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()

    @classmethod
    def of(cls, copy: Dataset) -> Told:
        """Collect from every level; what this program writes itself at the top is left out."""
        words, counted, uids, foreign = set[str](), set[str](), set[str](), set[str]()
        for level, element in walk(copy):
            vr = str(element.VR)
            if vr not in TEXT_TYPES or (level is copy and int(element.tag) in WRITTEN):
                continue
            for value in map(str, values_of(element, vr)):
                found = words_in(value)
                uids.update((value, *UID_LIKE.findall(value)))
                foreign.update(word for word in found if not word.isascii())
                (counted if vr in NUMERIC else words).update((*found, "".join(found)))
        if not uids:
            return SAYS_NOTHING
        return cls(*map(frozenset, (words, counted, uids, foreign)))


SAYS_NOTHING = Told()


@dataclass(frozen=True, slots=True)
class Traces:
    """What would give the patient away."""

    words: frozenset[str] = frozenset()
    numbers: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    uids: frozenset[str] = frozenset()

    @classmethod
    def of(cls, element: Element, source: Dataset) -> Traces:
        """Collect from an element of a level and from everything in it.

        Names, numbers, the date of birth, and every UID that is not the standard's.
        """
        made = _Collector()
        for level, inner in walk_from(source, element):
            made.look_at(inner, level)
        if not (made.words or made.numbers or made.parts or made.uids):
            return NO_TRACES
        words, numbers = made.words - _harmless(), made.numbers - OUR_WORDS
        return cls(*map(frozenset, (words, numbers, made.parts, made.uids)))

    @classmethod
    def all_of(cls, several: Iterable[Traces]) -> Traces:
        """Those of a whole object."""
        left = [traces for traces in several if traces is not NO_TRACES]
        return cls(
            words=_all(traces.words for traces in left),
            numbers=_all(traces.numbers for traces in left),
            parts=_all(traces.parts for traces in left),
            uids=_all(traces.uids for traces in left),
        )

    def are_in(self, several: Iterable[Told]) -> bool:
        """Whether one of them stands anywhere in a copy."""
        told = [one for one in several if one is not SAYS_NOTHING]
        if not (
            self.uids.isdisjoint(_all(one.uids for one in told))
            and self.words.isdisjoint(_all(one.words for one in told))
            and self.numbers.isdisjoint(_all(one.counted for one in told))
        ):
            return True
        foreign = _all(one.foreign for one in told)
        return any(part in word for part in self.parts for word in foreign)


def _all(several: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*several)


NO_TRACES = Traces()


class _Collector:
    """Collects traces of one element."""

    def __init__(self) -> None:
        self.words, self.numbers = set[str](), set[str]()
        self.parts, self.uids = set[str](), set[str]()

    def look_at(self, element: Element, level: Dataset) -> None:
        """Remember what one element says."""
        tag, vr = int(element.tag), true_type(int(element.tag), written_type(element))
        if vr == "UI":
            uids = (str(value).strip(" \0") for value in values_of(element, vr))
            self.uids.update(uid for uid in uids if uid and uid not in UID_dictionary)
        elif vr == "PN" or tag in IDS or tag == BIRTH:
            plain = map(str, values_of(element, str(vr)))
            for value in {*plain, *map(str, verbatim_of(level, tag))}:
                self._add(value, name=vr == "PN")

    def _add(self, value: str, *, name: bool) -> None:
        """Remember the words of a name or a number."""
        words = words_in(value)
        if name:
            self.words.update(word for word in words if len(word) >= LEAST_NAME)
            self.parts.update(
                word for word in words if len(word) >= LEAST_PART and not word.isascii()
            )
            return
        whole = "".join(words)
        numbers = {word for word in words if any(mark.isdigit() for mark in word)}
        self.words.update(word for word in {whole, *numbers} if len(word) >= LEAST_ID)
        if len(whole) >= LEAST_ID_AMONG_NUMBERS:
            self.numbers.add(whole)
