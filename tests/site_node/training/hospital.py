"""A curated dataset in memory: the interface of `CuratedDataset`, for training tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class MemorySpec:
    """What the dataset says about itself."""

    task: str
    classes: Sequence[str]
    shape: Sequence[int]


class MemoryDataset:
    """Images, labels and pseudonyms of one hospital, by split."""

    def __init__(
        self,
        task: str,
        classes: Sequence[str],
        splits: dict[str, tuple[NDArray[Any], NDArray[Any]]],
        patients: dict[str, list[str]] | None = None,
        masks: dict[str, NDArray[Any]] | None = None,
    ) -> None:
        parts = [splits[name] for name in SPLITS]
        self._images = np.concatenate([images for images, _ in parts])
        self._labels = np.concatenate([labels for _, labels in parts])
        self._masks = np.concatenate([masks[name] for name in SPLITS]) if masks else None
        ends = np.cumsum([0] + [len(images) for images, _ in parts])
        self._rows = {
            name: np.arange(ends[i], ends[i + 1], dtype=np.int64) for i, name in enumerate(SPLITS)
        }
        given = patients or {}
        self._patients = [
            name
            for split in SPLITS
            for name in given.get(split, [f"{split}-{i}" for i in range(len(splits[split][0]))])
        ]
        self.spec = MemorySpec(task, list(classes), self._images.shape[1:])

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of a split."""
        return self._rows[split]

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return images and labels."""
        return self._images[rows].astype(np.float32), self._labels[rows]

    def masks(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Return masks."""
        return self._masks[rows].astype(np.uint8)

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """Return pseudonyms."""
        return [self._patients[row] for row in rows]
