"""The closed list of files that a bundle may hold besides those that are made from its log.

A: its hash stands in the log. P: proven against the consortium's log. U: in the manifest only.
What is on no list is refused: an auditor must not wonder what an extra file means.

Source: design/compliance.md §1.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Kind = Literal["attached", "consortium", "unattested"]

CARD = "/card.json"
MODEL = "/model.safetensors"
PEOPLE = "data/people.csv"
CONTROLS = "data/controls.json"
DEID = "data/privacy/deid/"
DESCRIPTIONS = "data/data/"
DOCUMENTS = "data/documents/"
WORKFLOW = "data/workflow/"
CONTRIBUTION = "data/contribution/"
ROUNDS = "data/rounds/"
CONSORTIUM = "data/consortium/"

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}"
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("attached", rf"{WORKFLOW}{_NAME}\.fab"),
    ("attached", r"data/model/[0-9a-f]{16}/(card\.json|model\.safetensors)"),
    ("attached", rf"{DESCRIPTIONS}{_NAME}\.croissant\.json"),
    ("attached", rf"{DEID}{_NAME}\.json"),
    ("attached", rf"{DOCUMENTS}{_NAME}"),
    ("attached", rf"{CONTRIBUTION}\d{{1,9}}-\d{{1,9}}\.json"),
    ("attached", rf"{ROUNDS}\d{{1,9}}\.json"),
    ("consortium", rf"{CONSORTIUM}(checkpoint|policy\.txt|\d{{1,12}}\.(note|tlog-proof))"),
    ("unattested", r"data/(people\.csv|report\.pdf)"),
)
_KINDS = tuple((kind, re.compile(pattern)) for kind, pattern in _PATTERNS)


def kind_of(path: str) -> Kind | None:
    """The kind of a file that is not made from the log; None: it may not be in a bundle."""
    return next((kind for kind, pattern in _KINDS if pattern.fullmatch(path)), None)


def given_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """What derived files may be made from, besides the log.

    The controls are among them because they record which profiles were chosen; they are made again
    from that choice alone.
    """
    found = {path: data for path, data in files.items() if kind_of(path) is not None}
    if CONTROLS in files:
        found[CONTROLS] = files[CONTROLS]
    return found


def names_of(pairs: Mapping[tuple[str, str], object]) -> dict[str, list[tuple[str, str]]]:
    """Hospital and dataset by the name of their files: `<site>-<dataset>`."""
    found: dict[str, list[tuple[str, str]]] = {}
    for site, dataset in pairs:
        found.setdefault(f"{site}-{dataset}", []).append((site, dataset))
    return found
