"""De-identification of one object: a pure function of the object, a profile and the site's keys.

Every element of the top level is cleaned by itself (`cleaning`), then this program writes what is
its own, then comes the second look. The original is not changed. Iterative: depth costs no
recursion.

Source: DICOM PS3.15 Annex E; design/imaging.md §7.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable
from typing import TypeAlias

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from compliance.command import installed_version
from compliance.records.reasons import Quarantine
from site_node.imaging.deid import values as grammar
from site_node.imaging.deid.cleaning import Cleaner, Outcome, cut_tables, term_item
from site_node.imaging.deid.profiles import (
    CLAIMED,
    MODIFIED_DATES,
    PATIENT_CHARACTERISTICS,
    Profile,
)
from site_node.imaging.deid.residual import Traces
from site_node.imaging.deid.told import Actions
from site_node.imaging.identity import Identity, identity_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.memo import Memo, context_of, key_of, weight_of
from site_node.imaging.outcomes import Quarantined

Clean: TypeAlias = Callable[[Dataset, Identity], tuple[Dataset, Actions]]

UTF8 = "ISO_IR 192"
MOST_METHOD = 64
CODES = "DeidentificationMethodCodeSequence"


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
    return Deidentifier(profile, keys, Memo(0)).run(original, identity_of(original))


class Deidentifier:
    """Does the same to many objects, and remembers what became of elements that they share.

    Args:
        profile: which options are used.
        keys: of this site.
        memo: of this profile and these keys alone.
    """

    def __init__(self, profile: Profile, keys: SiteKeys, memo: Memo[Outcome]) -> None:
        self._profile, self._keys, self._memo = profile, keys, memo

    def run(self, original: Dataset, identity: Identity) -> tuple[Dataset, Actions]:
        """Make a copy of one object; see `deidentify`. Its elements are not to be changed."""
        pseudonym = self._keys.pseudonym(identity.issuer, identity.patient)
        with warnings.catch_warnings(), config.disable_value_validation():
            warnings.simplefilter("ignore")
            outcomes = self._outcomes(original, self._keys.days_back(pseudonym))
            copy = Dataset({one.tag: one.element for one in outcomes if one.element is not None})
            cut_tables(copy)
            actions = Actions(self._profile, [one.notes for one in outcomes])
            actions.claims.update(*(one.claims for one in outcomes))
            if PATIENT_CHARACTERISTICS in self._profile.codes:
                _write_age(original, copy, actions)
            for element in _ours(self._profile, tuple(actions.codes), pseudonym):
                copy.add(element)
        traces = Traces.all_of(one.traces for one in outcomes)
        if traces.are_in(one.told for one in outcomes):
            raise Quarantined(Quarantine.RESIDUAL_IDENTIFIER)
        return copy, actions

    def _outcomes(self, original: Dataset, days: int) -> list[Outcome]:
        context = (days, context_of(original))
        cleaner, memo = Cleaner(self._profile, self._keys, days), self._memo
        outcomes = []
        for element in list(original.values()):
            key = key_of(element, context)
            outcome = memo.get(key)
            if outcome is None:
                outcome = cleaner.outcome(element, original)
                memo.keep(key, outcome, weight_of(key))
            outcomes.append(outcome)
        return outcomes


def _write_age(original: Dataset, copy: Dataset, actions: Actions) -> None:
    if str(copy.get("PatientAge") or ""):
        return
    texts = [str(original.get(name) or "").strip()
             for name in ("PatientBirthDate", "StudyDate")]  # fmt: skip
    age = grammar.age_between(*texts)
    if age:
        put(copy, "PatientAge", age)
        actions.claims.add(PATIENT_CHARACTERISTICS)


@functools.lru_cache(maxsize=64)
def _ours(profile: Profile, codes: tuple[str, ...], pseudonym: str) -> tuple[DataElement, ...]:
    """Pseudonym, character set, and what was done, as the standard wants it said."""
    told = f"profile {profile.name} {profile.digits}"
    values = {
        "SpecificCharacterSet": UTF8,
        "PatientID": pseudonym,
        "PatientName": pseudonym,
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": f"Consilium {_version()}, {told}"[:MOST_METHOD],
        "LongitudinalTemporalInformationModified": (
            "MODIFIED" if MODIFIED_DATES in codes else "REMOVED"
        ),
        CODES: _terms(codes),
    }
    return tuple(made(name, value) for name, value in values.items())


def write_codes(copy: Dataset, actions: Actions) -> None:
    """Say by codes what was done to this object, when more was done than to its header."""
    put(copy, CODES, _terms(actions.codes))


def _terms(codes: Iterable[str]) -> Sequence:
    return Sequence([term_item(code, "DCM", CLAIMED[code]) for code in codes])


def put(copy: Dataset, name: str, value: object) -> None:
    """Write an element anew; one that stands there may be shared and is never changed."""
    copy.add(made(name, value))


def made(name: str, value: object) -> DataElement:
    """An element by its name in the dictionary."""
    tag = tag_for_keyword(name)
    assert tag is not None  # noqa: S101 - names of the dictionary
    return DataElement(tag, dictionary_VR(tag), value)


@functools.cache
def _version() -> str:
    return installed_version()
