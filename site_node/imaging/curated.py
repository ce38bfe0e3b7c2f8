"""A curated dataset, opened for reading: images, labels and pseudonyms; no DICOM, no database.

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
from site_node.imaging.shards import rows_per_file, shard_path

IntArray: TypeAlias = NDArray[np.int64]

NEWEST = "newest.json"
INDEX = "index.json"
DESCRIPTION = "dataset.json"
SPLITS = ("train", "validation", "test")
TOP = np.float32(65535)
WIDTH = 2


@dataclass(frozen=True)
class CuratedSpec:
    """What a dataset says about itself; none of it names a person."""

    task: str
    classes: list[str]
    shape: tuple[int, int, int]


class CuratedDataset:
    """One version of a curated dataset.

    Args:
        folder: the version's own folder; the arrays lie in its parent.
    """

    def __init__(self, folder: Path) -> None:
        index = _read_json(folder / INDEX)
        task = index["task"]
        channels, height, width = index["shape"]
        self.spec = CuratedSpec(task["kind"], list(task["classes"]), (channels, height, width))
        self._rows = np.load(folder / "rows.npy", mmap_mode="r")
        self._labels = np.load(folder / "labels.npy")
        self._splits = np.load(folder / "splits.npy")
        self._patients: list[str] = index["patients"]
        self._folder, self._family = folder.parent, int(index["family"])
        self._per_file = rows_per_file(channels * height * width * WIDTH)
        self._maps: dict[int, NDArray[np.uint16]] = {}

    @classmethod
    def open(cls, path: Path) -> CuratedDataset:
        """Open a dataset's folder (its newest version) or the folder of one version.

        Raises:
            NotReady: the folder holds no curated dataset.
        """
        folder = Path(path)
        pointer = folder / NEWEST
        if pointer.is_file():
            folder = folder / str(_read_json(pointer)["folder"])
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
            Images float32 (B, C, H, W) in [0, 1]; labels int64 (B,), or float32 (B, K) when every
            case may have several.
        """
        rows = np.asarray(rows, dtype=np.int64)
        places = self._rows[rows]
        images = np.empty((len(rows), *self.spec.shape), np.float32)
        for number in np.unique(places // self._per_file):
            chosen = places // self._per_file == number
            images[chosen] = self._map(int(number))[places[chosen] % self._per_file]
        images /= TOP
        labels = self._labels[rows]
        if self.spec.task == "multilabel":
            return images, labels.astype(np.float32)
        return images, labels[:, 0].astype(np.int64)

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """The pseudonym of each row's patient."""
        return [self._patients[int(row)] for row in rows]

    def _map(self, number: int) -> NDArray[np.uint16]:
        if number not in self._maps:
            path = shard_path(self._folder, self._family, number)
            size = int(np.prod(self.spec.shape)) * WIDTH
            count = path.stat().st_size // size
            self._maps[number] = np.memmap(
                path, dtype="<u2", mode="r", shape=(count, *self.spec.shape)
            )
        return self._maps[number]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise NotReady(
            f"{path} cannot be read.", "Restore the datasets folder from your backup."
        ) from error
