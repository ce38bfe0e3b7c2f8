"""One element of an object on its way into the copy, with everything in it.

The copy begins empty, and only what a rule lets through is written into it; an element that was
forgotten is not there. What becomes of an element of the top level depends on nothing beside it but
the patient's shift and the character set: so an outcome may be remembered (`memo`).

Source: DICOM PS3.15 Annex E; design/imaging.md §7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from compliance.records.reasons import Quarantine
from site_node.imaging.deid import actions as do
from site_node.imaging.deid.codes import clean_term
from site_node.imaging.deid.elements import (
    Element,
    element_of,
    items_of,
    values_of,
    verbatim_of,
    written_type,
)
from site_node.imaging.deid.profiles import Profile
from site_node.imaging.deid.residual import Told, Traces
from site_node.imaging.deid.rules import BULK, plan, true_type
from site_node.imaging.deid.told import Actions, Notes
from site_node.imaging.keys import SiteKeys
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.scan import MOST_DEPTH

VALUE, SCHEME, MEANING = "CodeValue", "CodingSchemeDesignator", "CodeMeaning"
PALETTES = {0x00281201: 0x00281101, 0x00281202: 0x00281102, 0x00281203: 0x00281103,
            0x00283006: 0x00283002}  # fmt: skip
"""Where the number of entries of a look-up table stands."""

MOST_ENTRIES, ENTRY = 65_536, 2


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one element of the top level.

    Args:
        tag: which one.
        element: as it stands in the copy; None when it does not. Shared: never to be changed.
        notes: place, word and count of everything that was done in it, in a fixed order.
        claims: codes of CID 7050 that it makes true.
        traces: what in the original would give the patient away.
        told: what the copy says instead.
    """

    tag: BaseTag
    element: DataElement | None
    notes: Notes
    claims: frozenset[str]
    traces: Traces
    told: Told


class Cleaner:
    """Cleans elements of one object; the stack holds the levels that are still to be cleaned.

    Args:
        profile: which options are used.
        keys: of this site.
        days: how far this patient's dates move.
    """

    def __init__(self, profile: Profile, keys: SiteKeys, days: int) -> None:
        self._profile, self._keys, self._days = profile, keys, days
        self._actions = Actions(profile)
        self._waiting: list[tuple[Dataset, Dataset, tuple[int, ...]]] = []

    def outcome(self, element: Element, source: Dataset) -> Outcome:
        """Clean one element of the top level.

        Raises:
            Quarantined: it is too deep.
        """
        self._actions = Actions(self._profile)
        copy = Dataset()
        traces = Traces.of(element, source)
        self._clean(element, source, copy, (int(element.tag),))
        while self._waiting:
            level, target, path = self._waiting.pop()
            if len(path) > MOST_DEPTH:
                raise Quarantined(Quarantine.TOO_DEEP)
            for inner in list(level.values()):
                self._clean(inner, level, target, (*path, int(inner.tag)))
            cut_tables(target)
        kept = next(iter(copy), None)
        claims = frozenset(self._actions.claims)
        return Outcome(element.tag, kept, self._actions.notes(), claims, traces, Told.of(copy))

    def _clean(
        self, element: Element, source: Dataset, target: Dataset, path: tuple[int, ...]
    ) -> None:
        tag, nested = path[-1], len(path) > 1
        vr = true_type(tag, written_type(element))
        if vr is None:
            self._actions.note(path, "UN", do.REMOVE, left=False)
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
        self._actions.note(path, vr, action, left=left)

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
    target.update(term_item(term.value, term.scheme, term.meaning))
    return True


def term_item(value: str, scheme: str, meaning: str) -> Dataset:
    """An item with a coded term."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def cut_tables(level: Dataset) -> None:
    """Cut what stands behind the last entry of each look-up table of a level."""
    for tag in PALETTES:
        if tag in level:
            _cut(level, level[tag])


def _cut(level: Dataset, element: DataElement) -> None:
    entries: Any = level.get(PALETTES[int(element.tag)])
    count = entries.value[0] if entries is not None and entries.VM > 1 else 0
    count = count or MOST_ENTRIES
    if isinstance(element.value, bytes):
        level[element.tag] = DataElement(element.tag, element.VR, element.value[: count * ENTRY])
    elif element.VM > 1:
        level[element.tag] = DataElement(element.tag, element.VR, list(element.value)[:count])
