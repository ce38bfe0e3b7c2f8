"""A curated table, opened for reading: standardised values, labels, pseudonyms.

Each hospital standardises by its own training cases: (value - mean) / sample standard deviation. A
column that is constant there says nothing and becomes 0; a missing value that is to be filled
becomes the mean, which is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from site_node.imaging.curated import INDEX, NEWEST, SPLITS, read_json

VALUES = "values.npy"


@dataclass(frozen=True)
class TableSpec:
    """What a table says about itself; none of it names a person.

    `shape` is how many values a case has; `columns` names what they mean, `table-…`.
    """

    task: str
    classes: list[str]
    shape: tuple[int, ...]
    columns: str


class TableDataset:
    """One version of a curated table.

    Args:
        folder: the version's own folder.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / INDEX)
        task, shape = index["task"], tuple(index["shape"])
        self.spec = TableSpec(task["kind"], list(task["classes"]), shape, str(index["table"]))
        self._labels = np.load(folder / "labels.npy")[:, 0].astype(np.int64)
        self._splits = np.load(folder / "splits.npy")
        self._patients: list[str] = index["patients"]
        told = index.get("groups", {})
        self._groups = {name: np.asarray(words, np.str_) for name, words in told.items()}
        self._values = standardised(np.load(folder / VALUES), self.rows("train"))

    @classmethod
    def open(cls, path: Path) -> TableDataset:
        """Open a dataset's folder (its newest version) or the folder of one version.

        Raises:
            NotReady: the folder cannot be read.
        """
        return cls(_version_of(path))

    def __len__(self) -> int:
        return len(self._labels)

    def rows(self, split: str) -> NDArray[np.int64]:
        """The row numbers of `train`, `validation` or `test`."""
        return np.flatnonzero(self._splits == SPLITS.index(split)).astype(np.int64)

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Standardised values, float32 (B, values), and class numbers, int64 (B,)."""
        rows = np.asarray(rows, dtype=np.int64)
        return self._values[rows], self._labels[rows]

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """The pseudonym of each row's patient."""
        return [self._patients[int(row)] for row in rows]

    def groups(self, rows: NDArray[Any]) -> dict[str, NDArray[np.str_]]:
        """By dimension (`sex`, `age`) the word of each row's patient, empty if unknown."""
        return {name: words[np.asarray(rows, np.int64)] for name, words in self._groups.items()}


def standardised(values: NDArray[np.float64], train: NDArray[np.int64]) -> NDArray[np.float32]:
    """Bring every column to mean 0 and standard deviation 1 of the training cases.

    Args:
        values: float64 (n, columns); NaN is missing.
        train: row numbers of the training cases.

    Returns:
        float32, same shape, no NaN.
    """
    known = ~np.isnan(values[train])
    count = known.sum(axis=0)
    mean = np.where(known, values[train], 0).sum(axis=0) / np.maximum(count, 1)
    away = np.where(known, values[train] - mean, 0)
    sd = np.sqrt(np.square(away).sum(axis=0) / np.maximum(count - 1, 1))
    told = (values - mean) / np.where(sd > 0, sd, np.inf)
    return np.nan_to_num(told, nan=0.0).astype(np.float32)


def holds_table(path: Path) -> bool:
    """Whether the newest version in a folder, or the version that it is, is a table."""
    folder = _version_of(path)
    return (folder / INDEX).is_file() and "table" in read_json(folder / INDEX)


def _version_of(path: Path) -> Path:
    pointer = path / NEWEST
    return path / str(read_json(pointer)["folder"]) if pointer.is_file() else path
