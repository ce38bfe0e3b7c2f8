"""What training sees of a curated dataset: rows, arrays, labels and pseudonyms; no file, no header.

The interface is that of `site_node.imaging.curated.CuratedDataset`; anything with the same six
attributes trains the same way, which lets tests work with images in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compliance.errors import NotReady, Refused
from compliance.records.recipe import Recipe

IntArray: TypeAlias = NDArray[np.int64]

EVALUATION_BATCH = 64


class Spec(Protocol):
    """What a dataset says about itself; none of it names a person."""

    @property
    def task(self) -> str:
        """`binary`, `multiclass` or `multilabel`."""

    @property
    def classes(self) -> Sequence[str]:
        """Label slugs, in the order of the label numbers."""

    @property
    def shape(self) -> Sequence[int]:
        """Channels, rows, columns of every image."""


class Curated(Protocol):
    """A curated dataset, opened for reading."""

    @property
    def spec(self) -> Spec:
        """The dataset's description."""

    def rows(self, split: str) -> NDArray[Any]:
        """Return the row numbers of `train`, `validation` or `test`, int64."""

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return images (B, C, H, W) in [0, 1] and labels, int64 (B,) or float32 (B, K)."""

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """Return the pseudonym of each row's patient."""


def open_dataset(folder: Path) -> Curated:
    """Open the curated dataset in a folder.

    Raises:
        NotReady: the folder holds no curated dataset.
    """
    from site_node.imaging.curated import CuratedDataset

    return CuratedDataset.open(folder)


def check_fit(data: Curated, recipe: Recipe) -> None:
    """Refuse a dataset that answers another question than the recipe asks.

    Raises:
        Refused: task, classes or channels differ.
        NotReady: the dataset has no training case.
    """
    found = (data.spec.task, list(data.spec.classes))
    agreed = (recipe.task, list(recipe.classes))
    if found != agreed:
        raise Refused("dataset.task", found=found, agreed=agreed)
    channels = recipe.preprocessing.channels
    if data.spec.shape[0] not in (1, channels):
        raise Refused("dataset.shape", found=list(data.spec.shape), agreed=f"{channels} channels")
    if len(data.rows("train")) == 0:
        raise NotReady("The dataset has no training case.", "Import more cases, then try again.")


class Split:
    """The images of one split, prepared as the recipe says, a batch at a time."""

    def __init__(self, data: Curated, split: str, recipe: Recipe) -> None:
        self._data, self._recipe = data, recipe
        self.rows = np.asarray(data.rows(split), dtype=np.int64)

    def __len__(self) -> int:
        return len(self.rows)

    def patients(self) -> list[str]:
        """Return the pseudonym of each row's patient; it never leaves this room."""
        return self._data.patients(self.rows)

    def labels(self) -> Tensor:
        """Return every label as float32: (n, 1) binary, (n, K) otherwise (one-hot or several)."""
        parts = [torch.zeros((0, self._recipe.outputs))]
        for start in range(0, len(self.rows), EVALUATION_BATCH):
            _, labels = self._data.batch(self.rows[start : start + EVALUATION_BATCH])
            parts.append(_as_float(labels, self._recipe))
        return torch.cat(parts)

    def batches(self, size: int = EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Walk through the split in its order."""
        for start in range(0, len(self.rows), size):
            yield self.take(np.arange(start, min(start + size, len(self.rows))))

    def take(self, places: IntArray) -> tuple[Tensor, Tensor]:
        """Return images (B, C, H, W), standardised, and labels (B, outputs), both float32."""
        images, labels = self._data.batch(self.rows[places])
        prepared = prepare(torch.from_numpy(np.ascontiguousarray(images, np.float32)), self._recipe)
        return prepared, _as_float(labels, self._recipe)


def prepare(images: Tensor, recipe: Recipe) -> Tensor:
    """Bring images to the recipe's size, channels, mean and standard deviation.

    Args:
        images: float32 (B, C, H, W) in [0, 1]; one channel is repeated where three are wanted.
        recipe: size, channels, mean and standard deviation.
    """
    size = list(recipe.preprocessing.size)
    if list(images.shape[2:]) != size:
        images = torch.nn.functional.interpolate(
            images, size=size, mode="bilinear", antialias=True, align_corners=False
        )
    if images.shape[1] != recipe.preprocessing.channels:
        images = images.repeat(1, recipe.preprocessing.channels, 1, 1)
    return (images - float(recipe.preprocessing.mean)) / float(recipe.preprocessing.std)


def _as_float(labels: NDArray[Any], recipe: Recipe) -> Tensor:
    found = torch.from_numpy(np.asarray(labels))
    if recipe.task == "multilabel":
        return found.to(torch.float32)
    if recipe.task == "binary":
        return found.reshape(-1, 1).to(torch.float32)
    return torch.nn.functional.one_hot(found.long(), recipe.outputs).to(torch.float32)
