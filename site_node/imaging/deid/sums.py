"""Sums of what was done to many objects: no value, and no reader of headers is needed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Protocol

from compliance.canonical import digest_of


class Done(Protocol):
    """What was done to one object."""

    @property
    def signature(self) -> Hashable:
        """Equal for two objects to which the same was done."""

    def plain(self) -> dict[str, Any]:
        """Tags and counts."""


class Sums:
    """Says what was done in full the first time, and afterwards by its hash alone.

    Slices of a series come to the same sum: most answers of a child are a word instead of a page.
    """

    def __init__(self) -> None:
        self._names: dict[Hashable, str] = {}

    def tell(self, actions: Done) -> dict[str, Any]:
        """The hash of what was done to an object, and what was done where that is new."""
        signature = actions.signature
        if signature in self._names:
            return {"actions": self._names[signature]}
        plain = actions.plain()
        name = self._names[signature] = digest_of(plain)
        return {"actions": name, "done": plain}


def total(parts: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum what was done over many objects, by place and word; codes count objects."""
    return total_of((part, 1) for part in parts)


def total_of(parts: Iterable[tuple[Mapping[str, Any], int]]) -> dict[str, dict[str, int]]:
    """The same of parts that each stand for so many objects."""
    sums: dict[str, Counter[str]] = defaultdict(Counter)
    for part, objects in parts:
        sums["codes"].update(dict.fromkeys(part["codes"], objects))
        for place, words in part.items():
            if isinstance(words, Mapping):
                sums[place].update({word: n * objects for word, n in words.items()})
    return {place: dict(sorted(words.items())) for place, words in sorted(sums.items())}
