"""What can happen to an element: each action says in a sentence what it does, and does it.

An action sees one element as a list of texts or numbers and returns its new values, or GONE. The
page `docs/deidentification.md` is printed from these sentences.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydicom._uid_dict import UID_dictionary

from site_node.imaging.deid import values as grammar
from site_node.imaging.deid.words import INSTEAD, code_strings, texts_of
from site_node.imaging.keys import SiteKeys

Values: TypeAlias = list[Any]

REMOVED_TEXT = "REMOVED"
NO_DATE, NO_MOMENT, NO_TIME = "19000101", "19000101000000", "000000"
DUMMIES: dict[str, Any] = {
    "DA": NO_DATE, "DT": NO_MOMENT, "TM": NO_TIME, "AS": "000Y", "DS": "0", "IS": "0",
}  # fmt: skip
NUMBERS = frozenset(("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"))
SHORT_TEXT = frozenset(("LO", "SH", "UC", "AE"))
SEXES = frozenset(("M", "F", "O"))
SEX = 0x00100040

GONE: Values = [object()]
"""The answer of an action after which nothing of the element is left."""


@dataclass(frozen=True)
class Given:
    """One element and what is known of its patient."""

    tag: int
    vr: str
    values: Values
    keys: SiteKeys
    days: int
    verbatim: Callable[[], Values] = field(default=lambda: [])

    @property
    def texts(self) -> list[str]:
        """Its values as texts without padding."""
        return [str(value).strip(" \0") for value in self.values]


@dataclass(frozen=True)
class Action:
    """One thing that can happen: the word that is counted, the sentence people read, the deed."""

    word: str
    sentence: str
    act: Callable[[Given], Values]


def _remove(_: Given) -> Values:
    return GONE


def _empty(_: Given) -> Values:
    return []


def _dummy(given: Given) -> Values:
    if not any(given.texts):
        return []
    return [0 if given.vr in NUMBERS else DUMMIES.get(given.vr, REMOVED_TEXT)]


def _remap(given: Given) -> Values:
    return [_uid(given, text) for text in given.texts if text]


def _uid(given: Given, text: str) -> str:
    return text if text in UID_dictionary else given.keys.uid(text)


def _move(given: Given) -> Values:
    if given.vr == "TM":
        return _keep_time(given)
    move = grammar.moved_date if given.vr == "DA" else grammar.moved_datetime
    return [move(text, given.days) for text in given.texts]


def _keep_time(given: Given) -> Values:
    return [grammar.time_or_nothing(text) for text in given.texts]


def _keep_age(given: Given) -> Values:
    return [grammar.age_or_nothing(text) for text in given.texts]


def _keep_number(given: Given) -> Values:
    check = {"DS": grammar.decimal_or_nothing, "IS": grammar.whole_or_nothing}.get(given.vr)
    return [check(text) for text in given.texts] if check else given.values


def _keep_words(given: Given) -> Values:
    known = texts_of(given.tag)
    if all(text.casefold() in known for text in given.texts if text):
        return list(given.texts)
    if given.tag in INSTEAD:
        return [INSTEAD[given.tag]]
    return [REMOVED_TEXT] if given.vr in SHORT_TEXT else []


def _keep_codes(given: Given) -> Values:
    known = SEXES if given.tag == SEX else code_strings()
    kept = [text if text in known else "" for text in map(str.upper, given.texts)]
    if not any(kept):
        return [INSTEAD[given.tag]] if given.tag in INSTEAD else []
    return kept


def _keep_verbatim(given: Given) -> Values:
    return given.verbatim()


REMOVE = Action("removed", "Removed, with everything in it.", _remove)
EMPTY = Action("emptied", "Stays, empty.", _empty)
DUMMY = Action(
    "dummy",
    "Empty stays empty; otherwise a dummy: text and names `REMOVED`, date `19000101`, "
    "time `000000`, number 0; a sequence is removed.",
    _dummy,
)
REMAP = Action(
    "remapped",
    "A UID of the standard stays; any other becomes a keyed one, the same wherever it stands.",
    _remap,
)
MOVE = Action(
    "moved",
    "A date moves into the past by 365 to 2190 days, the same number for all of a patient's "
    "objects; a time of day stays; what is no date is emptied.",
    _move,
)
TIME = Action("time", "A time of day stays; what is none is emptied.", _keep_time)
AGE = Action("age", "An age stays, from 90 years on `090Y`; what is none is emptied.", _keep_age)
NUMBER = Action("number", "A number stays; text that is none is emptied.", _keep_number)
WORDS = Action(
    "words",
    "A value of this attribute's closed list stays; otherwise `REMOVED` in short text (LO, SH, UC, "
    "AE), empty in other text.",
    _keep_words,
)
CODES = Action(
    "codes",
    "Each part on the closed list of code strings stays, in capitals; others are emptied.",
    _keep_codes,
)
VERBATIM = Action("kept", "Stays as it is: this hospital's own profile says so.", _keep_verbatim)
ENTER = Action("entered", "Stays; every element in it goes through the same rules.", _remove)
TERM = Action(
    "term",
    "A coded term stays when its scheme is DCM, SCT, SRT (also SNM3, 99SDM), UCUM, FMA, RADLEX or "
    "LN and its value is "
    "in the public dictionary or has its scheme's check digit; its meaning is written anew; "
    "otherwise its item is removed.",
    _remove,
)
OURS = Action("written", "Written anew by this program.", _remove)
