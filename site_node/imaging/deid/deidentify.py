"""De-identification of one object: a pure function of the object, a profile and the site's keys.

The copy begins empty, and only what a rule lets through is written into it; an element that was
forgotten is not there. The original is not changed. Iterative: depth costs no recursion.

Source: DICOM PS3.15 Annex E; design/imaging.md §7.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from compliance.command import installed_version
from compliance.records.reasons import Quarantine
from site_node.imaging.deid import actions as do
from site_node.imaging.deid import values as grammar
from site_node.imaging.deid.codes import clean_term
from site_node.imaging.deid.elements import (
    Element,
    element_of,
    items_of,
    values_of,
    verbatim_of,
    written_type,
)
from site_node.imaging.deid.profiles import (
    MEANINGS,
    MODIFIED_DATES,
    PATIENT_CHARACTERISTICS,
    Profile,
)
from site_node.imaging.deid.residual import Traces
from site_node.imaging.deid.rules import BULK, LUTS, plan, true_type
from site_node.imaging.deid.told import Actions
from site_node.imaging.examine import identity_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.scan import MOST_DEPTH

UTF8 = "ISO_IR 192"
VALUE, SCHEME, MEANING = "CodeValue", "CodingSchemeDesignator", "CodeMeaning"
PALETTES = {0x00281201: 0x00281101, 0x00281202: 0x00281102, 0x00281203: 0x00281103,
            0x00283006: 0x00283002}  # fmt: skip
"""Where the number of entries of a look-up table stands."""

MOST_ENTRIES, ENTRY = 65_536, 2
MOST_METHOD = 64


def deidentify(original: Dataset, profile: Profile, keys: SiteKeys) -> tuple[Dataset, Actions]:
    """Make a copy that names nobody; its pixels are not touched, because they are not read here.

    Args:
        original: the header of an image, as parsed.
        profile: which options are used.
        keys: of this site, at least for `patient`, `uid` and `date`.

    Returns:
        The copy, and what was done: tags and counts.

    Raises:
        Quarantined: patient or UIDs are missing, it is too deep, or the second look found a trace.
    """
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        cleaner = _Cleaner(original, profile, keys)
        copy = cleaner.run()
        if Traces.of(original).are_in(copy):
            raise Quarantined(Quarantine.RESIDUAL_IDENTIFIER)
        return copy, cleaner.actions


class _Cleaner:
    """One object on its way; the stack holds the levels that are still to be cleaned."""

    def __init__(self, original: Dataset, profile: Profile, keys: SiteKeys) -> None:
        self._original, self._profile, self._keys = original, profile, keys
        identity = identity_of(original)
        self._pseudonym = keys.pseudonym(identity.issuer, identity.patient)
        self._days = keys.days_back(self._pseudonym)
        self.actions = Actions(profile)
        self._waiting: list[tuple[Dataset, Dataset, tuple[int, ...]]] = []

    def run(self) -> Dataset:
        """Clean every level, then write what is ours."""
        copy = Dataset()
        self._waiting.append((self._original, copy, ()))
        while self._waiting:
            source, target, path = self._waiting.pop()
            if len(path) > MOST_DEPTH:
                raise Quarantined(Quarantine.TOO_DEEP)
            for element in list(source.values()):
                self._clean(element, source, target, (*path, int(element.tag)))
        _cut_tables(copy)
        if PATIENT_CHARACTERISTICS in self._profile.codes:
            self._write_age(copy)
        self._write_ours(copy)
        return copy

    def _clean(
        self, element: Element, source: Dataset, target: Dataset, path: tuple[int, ...]
    ) -> None:
        tag, nested = path[-1], len(path) > 1
        vr = true_type(tag, written_type(element))
        if vr is None:
            self.actions.note(path, "UN", do.REMOVE, left=False)
            return
        action = plan(tag, vr, self._profile, nested=nested).action
        if action is do.ENTER:
            left = self._enter(source, target, path)
        elif action in (do.REMOVE, do.OURS, do.TERM):
            left = False
        elif vr == "SQ":
            left = self._empty_sequence(action, source, target, path)
        else:
            left = self._write(action, element, vr, source, target)
        self.actions.note(path, vr, action, left=left)

    def _write(
        self, action: do.Action, element: Element, vr: str, source: Dataset, target: Dataset
    ) -> bool:
        """Write what an action leaves of an element; returns whether a value is left."""
        tag = int(element.tag)
        given = do.Given(
            tag, vr, values_of(element, vr), self._keys, self._days, _verbatim(source, tag)
        )
        made = action.act(given)
        if made is do.GONE:
            return False
        if vr not in BULK or made:
            target.add(element_of(tag, vr, made))
        return any(str(value) for value in made)

    def _empty_sequence(
        self, action: do.Action, source: Dataset, target: Dataset, path: tuple[int, ...]
    ) -> bool:
        """A sequence that is emptied; one that would need a dummy goes, unless it was empty."""
        if action is do.EMPTY or not items_of(source, path[-1]):
            target.add(DataElement(path[-1], "SQ", Sequence()))
        return False

    def _enter(self, source: Dataset, target: Dataset, path: tuple[int, ...]) -> bool:
        """Keep a sequence; items with a coded term stay only if the term does."""
        items = items_of(source, path[-1])
        if items is None:
            return False
        kept = []
        for item in items:
            fresh = Dataset()
            if _is_term(item) and not _write_term(item, fresh):
                continue
            kept.append(fresh)
            self._waiting.append((item, fresh, path))
        target.add(DataElement(path[-1], "SQ", Sequence(kept)))
        return bool(kept)

    def _write_age(self, copy: Dataset) -> None:
        if str(copy.get("PatientAge") or ""):
            return
        texts = [str(self._original.get(name) or "").strip()
                 for name in ("PatientBirthDate", "StudyDate")]  # fmt: skip
        age = grammar.age_between(*texts)
        if age:
            copy.PatientAge = age
            self.actions.claims.add(PATIENT_CHARACTERISTICS)

    def _write_ours(self, copy: Dataset) -> None:
        """Pseudonym, character set, and what was done, as the standard wants it said."""
        moved = MODIFIED_DATES in self.actions.claims
        copy.SpecificCharacterSet = UTF8
        copy.PatientID = copy.PatientName = self._pseudonym
        copy.PatientIdentityRemoved = "YES"
        told = f"profile {self._profile.name} {self._profile.digits}"
        method = f"Consilium {_version()}, {told}"
        copy.DeidentificationMethod = method[:MOST_METHOD]
        copy.LongitudinalTemporalInformationModified = "MODIFIED" if moved else "REMOVED"
        copy.DeidentificationMethodCodeSequence = Sequence(
            [_term_item(code, "DCM", MEANINGS[code]) for code in self.actions.codes]
        )


@functools.cache
def _version() -> str:
    return installed_version()


def _verbatim(source: Dataset, tag: int) -> Callable[[], list[Any]]:
    return lambda: verbatim_of(source, tag)


def _text(item: Dataset, name: str) -> str:
    try:
        return str(item.get(name) or "").strip(" \0")
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        return ""


def _is_term(item: Dataset) -> bool:
    names = (VALUE, SCHEME, MEANING, "LongCodeValue", "URNCodeValue")
    return any(name in item for name in names)


def _write_term(item: Dataset, target: Dataset) -> bool:
    term = clean_term(_text(item, VALUE), _text(item, SCHEME))
    if term is None:
        return False
    target.update(_term_item(term.value, term.scheme, term.meaning))
    return True


def _term_item(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def _cut_tables(copy: Dataset) -> None:
    """Cut what stands behind the last entry of a look-up table, at every level."""
    waiting = [copy]
    while waiting:
        level = waiting.pop()
        for element in level:
            if element.VR == "SQ":
                waiting += list(element.value)
            elif element.tag in LUTS and element.tag in PALETTES:
                _cut(level, element)


def _cut(level: Dataset, element: DataElement) -> None:
    entries: Any = level.get(PALETTES[int(element.tag)])
    count = entries.value[0] if entries is not None and entries.VM > 1 else 0
    count = count or MOST_ENTRIES
    if isinstance(element.value, bytes):
        element.value = element.value[: count * ENTRY]
    elif element.VM > 1:
        element.value = list(element.value)[:count]
