"""A version of a dataset: which rows, which split, which label, and the hash that names it all.

The version depends on what is held and on this site's secret, never on the order or the number of
imports. Split is by patient and keyed by the site's secret, not by dataset or time: a patient who
is tested here is trained on nowhere, and adding data moves nobody. A split that the label file
gives is followed instead, and the description says so.

Source: design/imaging.md §10.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from compliance.canonical import encode
from compliance.errors import NotReady
from compliance.ledger import merkle
from site_node.imaging.curated import DESCRIPTION, INDEX, NEWEST, SPLITS
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.shards import sync_folder
from site_node.store.objects import HELD, ObjectRow

FOLDER_DIGITS = 12


@dataclass(frozen=True, order=True)
class Entry:
    """One image of a version; sorted by a keyed identity, so that no order tells a story."""

    identity: bytes
    row: int
    split: int
    label: tuple[int, ...]
    patient: str
    pixels: str

    def leaf(self, keys: SiteKeys) -> bytes:
        """The keyed leaf of the version's Merkle tree."""
        parts = [self.identity.hex(), self.pixels, list(self.label), SPLITS[self.split]]
        return keys.leaf(json.dumps(parts).encode())


@dataclass
class Version:
    """Everything that a version's folder will hold."""

    entries: list[Entry]
    objects: list[ObjectRow]
    split: str = "keyed"
    description: dict[str, Any] = field(default_factory=dict)
    quality: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """`sha256:` and the hash of the description."""
        return str(self.description["version"])

    @property
    def folder(self) -> str:
        """Name of its folder: the first digits of its hash."""
        return self.name.removeprefix("sha256:")[:FOLDER_DIGITS]


def split_of(keys: SiteKeys, patient: str, recipe: ImportRecipe) -> int:
    """Which split a patient belongs to: 0 train, 1 validation, 2 test."""
    place = keys.fraction(patient)
    if place < recipe.split.test:
        return SPLITS.index("test")
    if place < recipe.split.test + recipe.split.validation:
        return SPLITS.index("validation")
    return SPLITS.index("train")


def given_splits(rows: Sequence[ObjectRow]) -> dict[str, int]:
    """The split of each patient for whom the label file gave one.

    Raises:
        NotReady: a patient stands in two splits; a test on patients one trained on is no test.
    """
    found: dict[str, set[str]] = {}
    for row in rows:
        if row.patient is not None and row.label is not None and row.given_split is not None:
            found.setdefault(row.patient, set()).add(row.given_split)
    torn = sum(len(splits) > 1 for splits in found.values())
    if torn:
        raise NotReady(
            f"{torn} patients stand in more than one split of the label file.",
            "Give every image of a patient the same split, or leave the column out.",
        )
    return {patient: SPLITS.index(next(iter(splits))) for patient, splits in found.items()}


def assemble(
    rows: Sequence[ObjectRow],
    places: dict[str, list[int]],
    keys: SiteKeys,
    recipe: ImportRecipe,
) -> Version:
    """Collect every image that is held and labelled.

    Args:
        rows: all objects of the dataset.
        places: shard rows of each object, by content hash.
        keys: the site's keys.
        recipe: the shares of the split.
    """
    entries, objects, given = [], [], given_splits(rows)
    for row in rows:
        if row.outcome != HELD or row.label is None or row.patient is None:
            continue
        objects.append(row)
        split = given.get(row.patient, split_of(keys, row.patient, recipe))
        for frame, place in enumerate(places.get(row.sha256, [])):
            identity = keys.leaf(f"{row.instance_key}/{frame}".encode())
            entries.append(
                Entry(identity, place, split, tuple(row.label), row.patient, str(row.pixels))
            )
    return Version(sorted(entries), objects, split="given" if given else "keyed")


def root_of(version: Version, keys: SiteKeys) -> str:
    """The keyed Merkle root over the sorted leaves, as `sha256:…`."""
    leaves = sorted(entry.leaf(keys) for entry in version.entries)
    return "sha256:" + merkle.root(leaves).hex()


def write_version(
    folder: Path, version: Version, recipe: ImportRecipe, family: int, task: dict[str, Any]
) -> None:
    """Write a version's folder, whole or not at all; writing it again gives the same bytes.

    Args:
        folder: the dataset's folder.
        version: what to write.
        recipe: shape of its images.
        family: which shards hold them.
        task: kind and classes.
    """
    final, partial = folder / version.folder, folder / f"{version.folder}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    index = {
        "family": family,
        "shape": list(recipe.shape),
        "task": task,
        "patients": [entry.patient for entry in version.entries],
    }
    arrays = {
        "rows.npy": np.array([entry.row for entry in version.entries], "<i8"),
        "labels.npy": np.array([entry.label for entry in version.entries], "<i2"),
        "splits.npy": np.array([entry.split for entry in version.entries], "u1"),
    }
    for name, array in arrays.items():
        npy = BytesIO()
        np.save(npy, array, allow_pickle=False)
        _write(partial / name, npy.getvalue())
    _write(partial / INDEX, encode(index))
    _write(partial / DESCRIPTION, encode(version.description))
    _write(partial / "quality.json", encode(version.quality))
    sync_folder(partial)
    shutil.rmtree(final, ignore_errors=True)
    partial.rename(final)
    sync_folder(folder)


def point_to(folder: Path, version: str, name: str) -> None:
    """Let the dataset's folder open this version."""
    told = encode({"version": version, "folder": name})
    pointer = folder / NEWEST
    if pointer.is_file() and pointer.read_bytes() == told:
        return
    partial = folder / (NEWEST + ".partial")
    partial.unlink(missing_ok=True)
    _write(partial, told)
    partial.replace(pointer)
    sync_folder(folder)


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
