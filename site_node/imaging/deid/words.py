"""The closed lists: which words of a header are public knowledge and may stay.

`vocabulary.json` holds our own lists for facts of PS3.3 and PS3.16: code strings, and for a few
attributes of text their usual values. A word that is not on them is removed.
"""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path

FILE = Path(__file__).with_name("vocabulary.json")
INSTEAD = {0x00700080: "SEGMENTATION", 0x00283004: "US"}
"""What an attribute that may not be empty says instead of a word that is on no list."""


@functools.cache
def code_strings() -> frozenset[str]:
    """Every code string that may stay."""
    return frozenset(_lists()["code_strings"])


@functools.cache
def texts_of(tag: int) -> frozenset[str]:
    """The values of a text attribute that may stay, in small letters; usually none."""
    listed = _lists()["text"].get(f"{tag:08x}", ())
    return frozenset(text.casefold() for text in listed)


@functools.cache
def plain_words() -> frozenset[str]:
    """Every single word of every list, in small letters: it points to nobody."""
    lists = [_lists()["code_strings"], *_lists()["text"].values()]
    return frozenset(word for listed in lists for text in listed for word in words_in(text))


def words_in(text: str) -> list[str]:
    """The words of a text, in small letters, split at everything that is no letter or digit."""
    bare = "".join(mark if mark.isalnum() else " " for mark in text.casefold())
    return bare.split()


@functools.cache
def lists_sha256() -> str:
    """The hash of the lists, part of every profile's own."""
    return hashlib.sha256(FILE.read_bytes()).hexdigest()


@functools.cache
def _lists() -> dict[str, dict[str, list[str]]]:
    lists: dict[str, dict[str, list[str]]] = json.loads(FILE.read_text(encoding="utf-8"))
    return lists
