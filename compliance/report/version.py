"""Which version of the program makes a bundle; the layout changes with the minor version only."""

from __future__ import annotations

import re

VERSION = "0.1.0"
NAME = "consilium"
SOFTWARE = f"{NAME} {VERSION}"
_VERSION = re.compile(rf"{NAME} (\d+\.\d+)\.\d+")


def same_layout(software: str) -> bool:
    """Whether a bundle of this program version has the files that this one makes."""
    theirs, ours = _VERSION.fullmatch(software), _VERSION.fullmatch(SOFTWARE)
    return theirs is not None and ours is not None and theirs[1] == ours[1]
