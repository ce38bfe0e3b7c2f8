"""The values of one element as plain texts and numbers, read by the type that is believed.

A reader that raises over a bad number would let a bad file stop the whole object; here a value that
cannot be read is no value. Text is taken byte by byte: whatever stays is on a list of plain ASCII.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator
from typing import Any, TypeAlias

from pydicom.datadict import dictionary_VM
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from site_node.imaging.deid.rules import LUTS, TEXT_TYPES

Element: TypeAlias = DataElement | RawDataElement

FORMATS = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d",
}  # fmt: skip
ONE_TEXT = frozenset(("ST", "LT", "UT", "UR"))
WIDE = 2


def written_type(element: Element) -> str | None:
    """The type letters as they are in the file; None when the file has none."""
    told: Any = element.VR
    return None if told is None else str(told)


def values_of(element: Element, vr: str) -> list[Any]:
    """The values of an element that is no sequence; none when they cannot be read.

    No more of them than the dictionary allows the attribute: what is behind is no value of it.
    """
    if isinstance(element, RawDataElement):
        found = _of_bytes(element, vr)
    else:
        found = _of_value(element.value, vr)
    return found[: most_values(int(element.tag))]


@functools.lru_cache(maxsize=10_000)
def most_values(tag: int) -> int | None:
    """How many values an attribute may have; None for any number."""
    try:
        ends = [told.split("-")[-1] for told in dictionary_VM(tag).split(" or ")]
    except KeyError:
        return None
    return max(map(int, ends)) if all(end.isdecimal() for end in ends) else None


def verbatim_of(source: Dataset, tag: int) -> list[Any]:
    """The values of an element as text in its own character set."""
    try:
        return _of_value(source[tag].value, source[tag].VR)
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        return []


def items_of(source: Dataset, tag: int) -> list[Dataset] | None:
    """The items of a sequence, or None when it is none."""
    try:
        value = source[tag].value
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        return None
    return list(value) if isinstance(value, Sequence) else None


def element_of(tag: int, vr: str, values: list[Any]) -> DataElement:
    """The element with these values."""
    if vr in ("OB", "OW"):
        return DataElement(tag, vr, values[0] if values else b"")
    if len(values) > 1:
        return DataElement(tag, vr, values)
    return DataElement(tag, vr, values[0] if values else None)


def walk(source: Dataset) -> Iterator[tuple[Dataset, Element]]:
    """Every element at every level, with the level in which it stands; without recursion."""
    waiting = [source]
    while waiting:
        level = waiting.pop()
        for element in list(level.values()):
            yield level, element
            if written_type(element) in ("SQ", None):
                waiting += _nested(level, element)


def walk_from(level: Dataset, element: Element) -> Iterator[tuple[Dataset, Element]]:
    """One element of a level, and every element in it."""
    yield level, element
    if written_type(element) in ("SQ", None):
        for item in _nested(level, element):
            yield from walk(item)


def _nested(level: Dataset, element: Element) -> list[Dataset]:
    if isinstance(element, RawDataElement) and element.VR is None:
        value = element.value or b""
        if not value.startswith((b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00")):
            return []
    return items_of(level, int(element.tag)) or []


def _of_bytes(element: RawDataElement, vr: str) -> list[Any]:
    data = element.value or b""
    if not isinstance(data, bytes):
        return []
    if vr in TEXT_TYPES:
        text = data.decode("latin-1").strip(" \0")
        return [text] if vr in ONE_TEXT else text.split("\\") if text else []
    order = "<" if element.is_little_endian else ">"
    if vr in FORMATS:
        return _numbers(data, order + FORMATS[vr])
    if vr == "AT":
        halves = _numbers(data, order + "H")
        return [halves[at] << 16 | halves[at + 1] for at in range(0, len(halves) - 1, WIDE)]
    if element.tag in LUTS:
        return [data if order == "<" else swap_words(data)]
    return []


def _of_value(value: Any, vr: str) -> list[Any]:
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return []
    if isinstance(value, (MultiValue, list, tuple)):
        return list(value)
    if isinstance(value, bytes) and vr in FORMATS:
        return _numbers(value, "<" + FORMATS[vr])
    return [value]


def _numbers(data: bytes, form: str) -> list[Any]:
    size = struct.calcsize(form)
    whole = data[: len(data) // size * size]
    return [number for (number,) in struct.iter_unpack(form, whole)]


def swap_words(data: bytes) -> bytes:
    """Bytes that were laid down as big-endian words, in their own order; an odd one is cut."""
    even = bytearray(data[: len(data) // WIDE * WIDE])
    even[::WIDE], even[1::WIDE] = even[1::WIDE], even[::WIDE]
    return bytes(even)
