"""Which recipes fit the chosen data, and which classes they have, by what the hospitals registered.

The hospitals' own descriptions tell task, classes and shape; a data set that tells nothing fits
everything here, and its hospital still judges the charter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Plain = dict[str, Any]
DRAWN = "segmentation"


def facts(row: Mapping[str, Any]) -> dict[str, str]:
    """What a data set's description tells, by name."""
    told = (row.get("description") or {}).get("variableMeasured") or []
    return {str(fact["name"]): str(fact["value"]) for fact in told}


def fitting(recipes: Sequence[Plain], rows: Sequence[Mapping[str, Any]]) -> list[Plain]:
    """The recipes that read data of this kind; all of them where none does, or none is told."""
    wanted = {kind for kind in map(_kind, rows) if kind}
    fits = [row for row in recipes if wanted == {_reads(row["document"])}]
    return fits or list(recipes)


def classes_of(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """The classes of the data, where all of them have the same and the recipe's task."""
    told = [facts(row) for row in rows]
    found = {(fact.get("task"), fact.get("classes")) for fact in told}
    if len(found) != 1:
        return None
    ((task, classes),) = found
    return classes.split(", ") if classes and task == document["task"] else None


def problem(document: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Why these data cannot be trained on by this recipe, in one sentence; None if they can."""
    kinds = {kind for kind in map(_kind, rows) if kind}
    if len(kinds) > 1:
        return "The chosen data differ in kind: images, volumes and masks are trained apart."
    if kinds and kinds != {_reads(document)}:
        read = _words(_reads(document))
        return f"The chosen data are {_words(*kinds)}, this recipe reads {read}."
    drawn = {fact.get("classes") for fact in map(facts, rows) if fact.get("task") == DRAWN}
    if len(drawn) > 1:
        return "The segments differ from hospital to hospital: agree on one list and import again."
    return None


def _kind(row: Mapping[str, Any]) -> tuple[bool, int] | None:
    told = facts(row)
    if "task" not in told or "shape" not in told:
        return None
    return told["task"] == DRAWN, len(told["shape"].split(" x ")) - 1


def _reads(document: Mapping[str, Any]) -> tuple[bool, int]:
    return document["task"] == DRAWN, len(document["preprocessing"]["size"])


def _words(kind: tuple[bool, int]) -> str:
    cases = {2: "images", 3: "volumes"}.get(kind[1], f"cases of {kind[1]} sides")
    return f"{cases} with masks" if kind[0] else f"{cases} with labels"
