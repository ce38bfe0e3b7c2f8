"""A curated dataset, opened for reading: samples, labels, masks, pseudonyms; no DICOM, no database.

A dataset's folder opens its newest version, a version's folder that version. Images come from a
memory map: random batches cost no second copy of the data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.errors import NotReady
from site_node.imaging.shards import IMAGES, MASKS, rows_per_file, shard_path

IntArray: TypeAlias = NDArray[np.int64]

NEWEST = "newest.json"
INDEX = "index.json"
DESCRIPTION = "dataset.json"
RECIPE = "recipe.json"
"""How the version's images were made: whatever a model sees later is made in the same way."""

SPLITS = ("train", "validation", "test")
TOP = np.float32(65535)
SEVERAL = ("multilabel", "segmentation")
"""Tasks whose label is a 0 or 1 for every class."""


@dataclass(frozen=True)
class CuratedSpec:
    """What a dataset says about itself; none of it names a person.

    `shape` is channels, (slices,) rows, columns. With `hu_range`, 0 and 1 of an image stand for
    these Hounsfield units.
    """

    task: str
    classes: list[str]
    shape: tuple[int, ...]
    hu_range: tuple[int, int] | None = None


class CuratedDataset:
    """One version of a curated dataset.

    Args:
        folder: the version's own folder; the arrays lie in its parent.
    """

    def __init__(self, folder: Path) -> None:
        index = read_json(folder / INDEX)
        self.spec = _spec(index)
        self._rows = np.load(folder / "rows.npy", mmap_mode="r")
        self._labels = np.load(folder / "labels.npy")
        self._splits = np.load(folder / "splits.npy")
        self._patients: list[str] = index["patients"]
        told = index.get("groups", {})
        self._groups = {name: np.asarray(words, np.str_) for name, words in told.items()}
        self._images = _Maps(folder.parent, int(index["family"]), self.spec.shape, "<u2", IMAGES)
        self._masks: _Maps | None = None
        if "masks" in index:
            self._mask_rows = np.load(folder / "masks.npy")
            family = int(index["masks"])
            self._masks = _Maps(folder.parent, family, self.spec.shape[1:], "u1", MASKS)
        self._affines = folder / "affines.npy"

    @classmethod
    def open(cls, path: Path) -> CuratedDataset:
        """Open a dataset's folder (its newest version) or the folder of one version.

        Raises:
            NotReady: the folder holds no curated dataset.
        """
        folder = Path(path)
        pointer = folder / NEWEST
        if pointer.is_file():
            folder = folder / str(read_json(pointer)["folder"])
        if not (folder / INDEX).is_file():
            raise NotReady(
                f"{path} holds no curated dataset.", "Import one: consilium site import."
            )
        return cls(folder)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self, split: str) -> IntArray:
        """The row numbers of `train`, `validation` or `test`."""
        return np.flatnonzero(self._splits == SPLITS.index(split)).astype(np.int64)

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Images and labels of rows.

        Returns:
            Images float32 (B, C, H, W), or (B, C, D, H, W) for volumes, in [0, 1]; labels int64
            (B,), or float32 (B, K) when every case may have several; of segmentation, which
            classes are in the mask.
        """
        rows = np.asarray(rows, dtype=np.int64)
        images = self._images.take(self._rows[rows], np.dtype(np.float32))
        images /= TOP
        labels = self._labels[rows]
        if self.spec.task in SEVERAL:
            return images, labels.astype(np.float32)
        return images, labels[:, 0].astype(np.int64)

    def masks(self, rows: NDArray[Any]) -> NDArray[np.uint8]:
        """The masks of rows: uint8 (B, H, W) or (B, D, H, W); 0 is none, classes begin with 1.

        Raises:
            NotReady: the dataset was made without masks.
        """
        if self._masks is None:
            raise NotReady(
                "this dataset has no masks.",
                "Import with --seg, and name the segments in the import recipe.",
            )
        rows = np.asarray(rows, dtype=np.int64)
        return self._masks.take(self._mask_rows[rows], np.dtype(np.uint8))

    def affines(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Where volumes lie: (B, 4, 4), maps slice, row, column to LPS in mm.

        Raises:
            NotReady: the samples are images, not volumes.
        """
        if not self._affines.is_file():
            raise NotReady("this dataset holds no volumes.", "Import with `kind: 3d`.")
        return np.asarray(np.load(self._affines)[np.asarray(rows, np.int64)], np.float64)

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """The pseudonym of each row's patient."""
        return [self._patients[int(row)] for row in rows]

    def groups(self, rows: NDArray[Any]) -> dict[str, NDArray[np.str_]]:
        """By dimension (`sex`, `age`, `scanner`) the word of each row's patient, empty if unknown.

        A version of an older release has none.
        """
        return {name: words[np.asarray(rows, np.int64)] for name, words in self._groups.items()}


class _Maps:
    """The files of one shard family, mapped when they are first asked for."""

    def __init__(
        self, folder: Path, family: int, shape: tuple[int, ...], dtype: str, kind: str
    ) -> None:
        self._folder, self._family, self._shape = folder, family, shape
        self._dtype, self._kind = np.dtype(dtype), kind
        self._size = int(np.prod(shape)) * self._dtype.itemsize
        self._per_file = rows_per_file(self._size)
        self._maps: dict[int, NDArray[Any]] = {}

    def take(self, places: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Rows in this order, as this type."""
        taken = np.empty((len(places), *self._shape), dtype)
        for number in np.unique(places // self._per_file):
            chosen = places // self._per_file == number
            taken[chosen] = self._map(int(number))[places[chosen] % self._per_file]
        return taken

    def _map(self, number: int) -> NDArray[Any]:
        if number not in self._maps:
            path = shard_path(self._folder, self._family, number, self._kind)
            shape = (path.stat().st_size // self._size, *self._shape)
            self._maps[number] = np.memmap(path, dtype=self._dtype, mode="r", shape=shape)
        return self._maps[number]


def _spec(index: dict[str, Any]) -> CuratedSpec:
    task, units = index["task"], index.get("hu_range")
    return CuratedSpec(
        task["kind"],
        list(task["classes"]),
        tuple(index["shape"]),
        (units[0], units[1]) if units and index["intensity"] == "hu" else None,
    )


def read_json(path: Path) -> Any:
    """Read a document of a version.

    Raises:
        NotReady: it is not there or damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotReady(
            f"{path} cannot be read.", "Restore the datasets folder from your backup."
        ) from error
