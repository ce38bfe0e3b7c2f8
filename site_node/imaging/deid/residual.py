"""The second look: does any value of the copy repeat what named the patient in the original?

The rules decide by attribute; this looks at values, and catches what a rule forgot. A hit means
that nothing is written. Names in scripts that put no space between words are searched inside words
too. Words of the public lists are no hit: a patient may be called Head.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from pydicom._uid_dict import UID_dictionary
from pydicom.dataset import Dataset

from site_node.imaging.deid import actions as do
from site_node.imaging.deid.elements import values_of, verbatim_of, walk, written_type
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


@dataclass
class Traces:
    """What would give the patient away."""

    words: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, original: Dataset) -> Traces:
        """Collect names, numbers, the date of birth and every UID that is not the standard's."""
        traces = cls()
        for level, element in walk(original):
            tag, vr = int(element.tag), true_type(int(element.tag), written_type(element))
            if vr == "UI":
                uids = (str(value).strip(" \0") for value in values_of(element, vr))
                traces.uids.update(uid for uid in uids if uid and uid not in UID_dictionary)
            elif vr == "PN" or tag in IDS or tag == BIRTH:
                plain = map(str, values_of(element, str(vr)))
                for value in {*plain, *map(str, verbatim_of(level, tag))}:
                    traces.add(value, name=vr == "PN")
        traces.words -= plain_words() | OUR_WORDS
        traces.numbers -= OUR_WORDS
        return traces

    def add(self, value: str, *, name: bool) -> None:
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

    def are_in(self, copy: Dataset) -> bool:
        """Whether one of them stands anywhere in the copy."""
        for level, element in walk(copy):
            vr = str(element.VR)
            if vr not in TEXT_TYPES or (level is copy and int(element.tag) in WRITTEN):
                continue
            for value in values_of(element, vr):
                if self._in_text(str(value), self.numbers if vr in NUMERIC else self.words):
                    return True
        return False

    def _in_text(self, text: str, words: set[str]) -> bool:
        if any(uid in self.uids for uid in (text, *UID_LIKE.findall(text))):
            return True
        found = words_in(text)
        if any(part in word for part in self.parts for word in found):
            return True
        return not words.isdisjoint(found) or "".join(found) in words
