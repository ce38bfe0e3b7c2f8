"""Cells: each patient of a dataset counted once, by closed words; exact, so it never leaves.

A patient with several examinations belongs to the cell of most of his images; of equals the first
in the order of the words counts. So the cells are parts of a whole: no patient is in two.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from site_node.imaging.facts import UNKNOWN
from site_node.store.objects import ObjectRow

FACTS = ("modality", "body_part", "age", "sex")
Cell = tuple[str, ...]
"""Modality, body part, age, sex, and the classes of the label joined by `+`."""


def patients_by_cell(rows: Iterable[ObjectRow], task: Mapping[str, Any]) -> dict[Cell, int]:
    """How many patients each cell holds.

    Args:
        rows: objects that are held and labelled.
        task: kind and classes of the dataset.
    """
    images: dict[str, Counter[Cell]] = {}
    for row in rows:
        cell = (*(row.facts.get(name, UNKNOWN) for name in FACTS), _label(row.label or [], task))
        images.setdefault(str(row.patient), Counter())[cell] += 1
    return dict(Counter(_most(found) for found in images.values()))


def _most(found: Counter[Cell]) -> Cell:
    return min(found, key=lambda cell: (-found[cell], cell))


def _label(label: list[int], task: Mapping[str, Any]) -> str:
    classes = list(task["classes"])
    if task["kind"] == "multilabel":
        return "+".join(name for name, held in zip(classes, label, strict=True) if held)
    return str(classes[label[0]])
