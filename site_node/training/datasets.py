"""What training sees of a curated dataset: rows, arrays, labels and pseudonyms; no file, no header.

The interface is that of `site_node.imaging.curated.CuratedDataset`; anything with the same six
attributes trains the same way, which lets tests work with images in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compliance.errors import NotReady, Refused
from compliance.records.columns import check_columns
from compliance.records.families import FLAT, misfit
from compliance.records.recipe import Recipe

IntArray: TypeAlias = NDArray[np.int64]

EVALUATION_BATCH = 64


class Spec(Protocol):
    """What a dataset says about itself; none of it names a person."""

    @property
    def task(self) -> str:
        """`binary`, `multiclass`, `multilabel` or `segmentation`."""

    @property
    def classes(self) -> Sequence[str]:
        """Label slugs, in the order of the label numbers."""

    @property
    def shape(self) -> Sequence[int]:
        """Channels, rows, columns of every image; slices before rows for a volume.

        Of a table: how many values a case has.
        """


class Curated(Protocol):
    """A curated dataset, opened for reading."""

    @property
    def spec(self) -> Spec:
        """The dataset's description."""

    def rows(self, split: str) -> NDArray[Any]:
        """Return the row numbers of `train`, `validation` or `test`, int64."""

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Return images (B, C, …) in [0, 1] and labels, int64 (B,) or float32 (B, K)."""

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """Return the pseudonym of each row's patient."""


class Masked(Curated, Protocol):
    """A curated dataset whose cases have masks; only recipes that draw ask for them."""

    def masks(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """Return masks (B, H, W) or (B, D, H, W); 0 is no class, classes begin with 1."""


def masks_of(data: Curated, rows: NDArray[Any]) -> NDArray[np.uint8]:
    """Masks of a dataset whose task is segmentation; as `Masked.masks`."""
    return cast("Masked", data).masks(rows)


def open_dataset(folder: Path) -> Curated:
    """Open the curated dataset in a folder.

    Raises:
        NotReady: the folder holds no curated dataset.
    """
    from site_node.imaging.curated import CuratedDataset
    from site_node.imaging.tabular.opened import TableDataset, holds_table

    if holds_table(folder):
        return TableDataset.open(folder)
    return CuratedDataset.open(folder)


def check_fit(data: Curated, recipe: Recipe) -> None:
    """Refuse a dataset that answers another question than the recipe asks.

    Raises:
        Refused: task, classes, dimensions or channels differ.
        NotReady: the dataset has no training case.
    """
    found = (data.spec.task, list(data.spec.classes))
    agreed = (recipe.task, list(recipe.classes))
    if found != agreed:
        raise Refused("dataset.task", found=found, agreed=agreed)
    if recipe.tabular or len(data.spec.shape) == 1:
        check_columns(recipe, data.spec.shape, getattr(data.spec, "columns", None))
    else:
        _check_images(list(data.spec.shape), recipe)
    if len(data.rows("train")) == 0:
        raise NotReady("The dataset has no training case.", "Import more cases, then try again.")


def _check_images(shape: list[int], recipe: Recipe) -> None:
    wanted = misfit(shape, dims=recipe.dims, channels=recipe.preprocessing.channels)
    if wanted is not None:
        raise Refused("dataset.shape", found=shape, agreed=wanted)


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

    def groups(self) -> dict[str, NDArray[np.str_]]:
        """Return by dimension (`sex`, `age`, `scanner`) the word of each row's patient."""
        told = getattr(self._data, "groups", None)
        return {} if told is None else told(self.rows)

    def labels(self) -> Tensor:
        """Return every label as float32: (n, 1) binary, (n, K) otherwise (one-hot or several).

        Of masks none: they weigh by their own overlap.
        """
        if self._recipe.draws:
            return torch.zeros((0, self._recipe.outputs))
        parts = [torch.zeros((0, self._recipe.outputs))]
        for start in range(0, len(self.rows), EVALUATION_BATCH):
            _, labels = self._data.batch(self.rows[start : start + EVALUATION_BATCH])
            parts.append(_as_float(labels, self._recipe))
        return torch.cat(parts)

    def batches(self, size: int | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Walk through the split in its order; what is large goes in batches of the training."""
        heavy = self._recipe.draws or self._recipe.dims > FLAT
        size = size or (self._recipe.local.batch if heavy else EVALUATION_BATCH)
        for start in range(0, len(self.rows), size):
            yield self.take(np.arange(start, min(start + size, len(self.rows))))

    def take(self, places: IntArray) -> tuple[Tensor, Tensor]:
        """Return images (B, C, …), standardised float32, and what is to be said of them.

        Labels are float32 (B, outputs), masks int64 (B, …), both of the images' sides.
        """
        rows = self.rows[places]
        images, labels = self._data.batch(rows)
        prepared = prepare(torch.from_numpy(np.ascontiguousarray(images, np.float32)), self._recipe)
        if not self._recipe.draws:
            return prepared, _as_float(labels, self._recipe)
        drawn = torch.from_numpy(np.ascontiguousarray(masks_of(self._data, rows), np.uint8))
        return prepared, fit_masks(drawn, self._recipe)


def prepare(images: Tensor, recipe: Recipe) -> Tensor:
    """Bring images to the recipe's size, channels, mean and standard deviation.

    Args:
        images: float32 (B, C, H, W) or (B, C, D, H, W) in [0, 1]; one channel is repeated where
            three are wanted.
        recipe: size, channels, mean and standard deviation.
    """
    if recipe.tabular:
        return images
    size = list(recipe.preprocessing.size)
    if list(images.shape[2:]) != size:
        images = (_resized_volume if recipe.dims > FLAT else _resized)(images, size)
    if images.shape[1] != recipe.preprocessing.channels:
        images = images.repeat(1, recipe.preprocessing.channels, *[1] * recipe.dims)
    return (images - float(recipe.preprocessing.mean)) / float(recipe.preprocessing.std)


def fit_masks(masks: Tensor, recipe: Recipe) -> Tensor:
    """Bring masks to the recipe's size, nearest neighbour: never a value between two classes.

    Args:
        masks: uint8 (B, H, W) or (B, D, H, W); 0 is none, classes begin with 1.
        recipe: size.

    Returns:
        int64, the recipe's sides.
    """
    size = list(recipe.preprocessing.size)
    if list(masks.shape[1:]) != size:
        whole = masks[:, None].to(torch.float32)
        masks = torch.nn.functional.interpolate(whole, size=size, mode="nearest-exact")[:, 0]
    return masks.to(torch.int64)


def _resized(images: Tensor, size: list[int]) -> Tensor:
    return torch.nn.functional.interpolate(
        images, size=size, mode="bilinear", antialias=True, align_corners=False
    )


def _resized_volume(images: Tensor, size: list[int]) -> Tensor:
    """Means where a side becomes shorter (nothing is skipped), linear where it becomes longer."""
    depth, rows, columns = (min(a, b) for a, b in zip(images.shape[2:], size, strict=True))
    averaged = torch.nn.functional.adaptive_avg_pool3d(images, (depth, rows, columns))
    return torch.nn.functional.interpolate(
        averaged, size=size, mode="trilinear", align_corners=False
    )


def _as_float(labels: NDArray[Any], recipe: Recipe) -> Tensor:
    found = torch.from_numpy(np.asarray(labels))
    if recipe.task == "multilabel":
        return found.to(torch.float32)
    if recipe.task == "binary":
        return found.reshape(-1, 1).to(torch.float32)
    return torch.nn.functional.one_hot(found.long(), recipe.outputs).to(torch.float32)
