"""A table in memory, for training tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from compliance.records.recipe import Recipe, shipped, with_changes
from site_node.imaging.tabular.opened import TableSpec

COLUMNS = 5
CLASSES = ["well", "ill"]


class MemoryTable:
    """The interface of `TableDataset`: n training cases, n test cases, one per patient.

    Args:
        n: cases of each split.
        seed: of the draws; another hospital has other patients and another slope.
        columns: values of a case.
    """

    def __init__(self, n: int = 40, seed: int = 0, columns: int = COLUMNS) -> None:
        random = np.random.default_rng(seed)
        self._values = random.normal(size=(2 * n, columns)).astype(np.float32)
        slope = np.linspace(1, -1, columns) + random.normal(size=columns) * 0.7
        chance = 1 / (1 + np.exp(-self._values @ slope))
        self._labels = (random.random(2 * n) < chance).astype(np.int64)
        self._n = n
        self.spec = TableSpec("binary", CLASSES, (columns,), "table-00")

    def rows(self, split: str) -> Any:
        """Row numbers."""
        ends = {"train": (0, self._n), "validation": (0, 0), "test": (self._n, 2 * self._n)}
        return np.arange(*ends[split], dtype=np.int64)

    def batch(self, rows: Any) -> Any:
        """Values and labels."""
        return self._values[rows], self._labels[rows]

    def patients(self, rows: Any) -> list[str]:
        """Pseudonyms."""
        return [f"P{row}" for row in rows]


def table_recipe(name: str = "logistic-table", **changes: Any) -> Recipe:
    """A shipped recipe for this table."""
    plain: dict[str, Any] = {
        "classes": CLASSES,
        "baseline": False,
        "class_weights": "none",
        "preprocessing": {"size": [COLUMNS]},
        "local": {"steps": 12, "batch": 8},
        "optimiser": {"lr": "0.1", "weight_decay": "0"},
    }
    for word, value in changes.items():
        both = isinstance(value, dict) and isinstance(plain.get(word), dict)
        plain[word] = plain[word] | value if both else value
    return with_changes(shipped()[name], plain)
