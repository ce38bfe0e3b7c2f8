"""Cells: each patient of a dataset counted once, by closed words; exact, so it never leaves.

A patient with several examinations belongs to the cell of most of his images; of equals the first
in the order of the words counts. So the cells are parts of a whole: no patient is in two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from site_node.imaging.curated import SEVERAL
from site_node.imaging.facts import UNKNOWN
from site_node.store.objects import Alike

FACTS = ("modality", "body_part", "age", "sex")
Cell = tuple[str, ...]
"""Modality, body part, age, sex, and the classes of the label joined by `+`."""


def patients_by_cell(alike: Iterable[Alike], task: Mapping[str, Any]) -> dict[Cell, int]:
    """How many patients each cell holds.

    Args:
        alike: images that are held and labelled, those of one patient with equal words together.
        task: kind and classes of the dataset.
    """
    images: dict[str, dict[Cell, int]] = {}
    for patient, facts, label, count in alike:
        cell = (*(facts.get(name, UNKNOWN) for name in FACTS), _label(label, task))
        found = images.setdefault(patient, {})
        found[cell] = found.get(cell, 0) + count
    return dict(Counter(_most(found) for found in images.values()))


def as_lists(cells: Mapping[Cell, int]) -> list[list[Any]]:
    """Cells as JSON can keep them: the words, then the number."""
    return [[*cell, count] for cell, count in sorted(cells.items())]


def from_lists(lists: Iterable[list[Any]]) -> dict[Cell, int]:
    """Cells as `as_lists` kept them."""
    return {tuple(words): count for *words, count in lists}


def _most(found: Mapping[Cell, int]) -> Cell:
    return min(found, key=lambda cell: (-found[cell], cell))


def _label(label: list[int], task: Mapping[str, Any]) -> str:
    classes = list(task["classes"])
    if task["kind"] in SEVERAL:
        return "+".join(name for name, held in zip(classes, label, strict=True) if held)
    return str(classes[label[0]])
