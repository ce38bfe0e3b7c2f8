"""What became of an element is remembered: slices of a series share almost all of theirs.

An outcome depends on the tag, the type letters and the bytes of an element, on the patient's shift,
the character set and the sign of pixels, and on nothing else; exactly these are the key. The memo
lives in a child process, holds values of files that this process has read anyway, and is bounded:
one hostile file must not take the memory of the next.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeAlias, TypeVar

from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

T = TypeVar("T")
Key: TypeAlias = tuple[int, str | None, bytes | None, bool, bool, Hashable]

MOST_MEMORY = 64 << 20
MOST_BYTES = 4_096
ENTRY, PER_BYTE, PER_BYTE_OF_ITEMS, PER_VALUE = 1_024, 160, 350, 800
"""What a remembered element weighs in memory, reckoned high: an empty item of 8 bytes becomes an
object of more than a thousand, and a hostile file may be full of them."""

FEW_WORDS = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"))
"""Types whose values are no sentences: each value weighs about the same, however long it is."""

SIGN = 0x00280103
"""Pixel Representation: decides how some numbers are read."""


class Memo(Generic[T]):
    """Values by key, in two generations: what is not asked for while one fills is forgotten.

    So what slices share stays, and what only one of them has goes.

    Args:
        most: what both may weigh together; 0 remembers nothing.
    """

    def __init__(self, most: int = MOST_MEMORY) -> None:
        self._most, self._held = most // 2, 0
        self._young: dict[Hashable, tuple[T, int]] = {}
        self._old: dict[Hashable, tuple[T, int]] = {}

    def get(self, key: Hashable) -> T | None:
        """The value of a key; of None there is none."""
        found = self._young.get(key)
        if found is None:
            found = self._old.get(key)
            if found is None:
                return None
            self._add(key, found)
        return found[0]

    def keep(self, key: Hashable, value: T, weight: int = 1) -> None:
        """Keep a value, unless its key is None or it weighs more than a generation may."""
        if key is None or key in self._young or key in self._old or weight > self._most:
            return
        self._add(key, (value, weight))

    def _add(self, key: Hashable, found: tuple[T, int]) -> None:
        if self._held + found[1] > self._most:
            self._old, self._young, self._held = self._young, {}, 0
        self._young[key] = found
        self._held += found[1]


def weight_of(key: Key | None) -> int:
    """What the element of a key weighs when it is remembered, at most."""
    if key is None:
        return 0
    kind, value = key[1], key[2] or b""
    if kind in FEW_WORDS:
        return ENTRY + len(value) * 4 + (value.count(b"\\") + 1) * PER_VALUE
    return weight(kind, len(value))


def weight(kind: str | None, length: int) -> int:
    """The same of an element of this type and length."""
    inside = kind in ("SQ", "UN", None)
    return ENTRY + length * (PER_BYTE_OF_ITEMS if inside else PER_BYTE)


def context_of(header: Dataset) -> Hashable:
    """What else than its bytes decides how an element is read."""
    charset = header.original_character_set
    sign = header.get_item(SIGN) if SIGN in header else None
    return (
        charset if isinstance(charset, str) else tuple(charset),
        None if sign is None else str(sign.value),
    )


def key_of(element: DataElement | RawDataElement, context: Hashable) -> Key | None:
    """The key of an element as it is in the file; None when it is not to be remembered."""
    if not isinstance(element, RawDataElement):
        return None
    tag, kind, length, value, _, implicit, little, _, _ = element
    if length > MOST_BYTES:
        return None
    return int(tag), kind, value, implicit, little, context
