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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from compliance.canonical import encode
from compliance.errors import NotReady
from compliance.ledger import merkle
from site_node.imaging.cases import Case
from site_node.imaging.curated import DESCRIPTION, INDEX, NEWEST, RECIPE, SPLITS
from site_node.imaging.groups import group_words
from site_node.imaging.keys import SiteKeys
from site_node.imaging.planes import FloatArray
from site_node.imaging.recipe import ImportRecipe, SplitShares
from site_node.imaging.shards import sync_folder
from site_node.store.objects import Alike, ObjectRow

FOLDER_DIGITS = 12


@dataclass(frozen=True)
class Families:
    """Which shards hold a version's images, and its masks if it has any."""

    images: int
    masks: int | None = None


@dataclass(frozen=True, order=True)
class Entry:
    """One sample of a version; sorted by a keyed identity, so that no order tells a story."""

    identity: bytes
    row: int
    split: int
    label: tuple[int, ...]
    patient: str
    pixels: str
    mask: int = -1
    mask_key: str = ""
    affine: FloatArray | None = field(default=None, compare=False)
    facts: Mapping[str, str] = field(default_factory=dict, compare=False)

    def leaf(self, keys: SiteKeys) -> bytes:
        """The keyed leaf of the version's Merkle tree."""
        parts = [self.identity.hex(), self.pixels, list(self.label), SPLITS[self.split]]
        parts += [self.mask_key] if self.mask_key else []
        return keys.leaf(json.dumps(parts).encode())


@dataclass
class Version:
    """Everything that a version's folder will hold; `objects` has one for each sample's speaker."""

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

    def alike(self) -> Iterator[Alike]:
        """Its objects, as cells count them."""
        for row in self.objects:
            yield str(row.patient), row.facts, list(row.label or ()), 1


def split_of(keys: SiteKeys, patient: str, shares: SplitShares) -> int:
    """Which split a patient belongs to: 0 train, 1 validation, 2 test."""
    place = keys.fraction(patient)
    if place < shares.test:
        return SPLITS.index("test")
    if place < shares.test + shares.validation:
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


def assemble(cases: Sequence[Case], keys: SiteKeys, recipe: ImportRecipe) -> Version:
    """Collect every sample that is held and labelled.

    Args:
        cases: all samples of the dataset.
        keys: the site's keys.
        recipe: the shares of the split, and the grid of volumes.
    """
    entries, objects = [], {}
    given = given_splits([case.row for case in cases])
    for case in cases:
        patient = case.row.patient
        if case.place is None or case.label is None or patient is None:
            continue
        objects[case.row.sha256] = case.row
        entry = Entry(
            identity=keys.leaf(case.identity.encode()),
            row=case.place,
            split=given.get(patient, split_of(keys, patient, recipe.split)),
            label=case.label,
            patient=patient,
            pixels=case.pixels,
            mask=case.mask,
            mask_key=case.mask_key,
            affine=case.affine(recipe),
            facts=case.row.facts,
        )
        entries.append(entry)
    ordered = [objects[sha256] for sha256 in sorted(objects)]
    return Version(sorted(entries), ordered, split="given" if given else "keyed")


def root_of(version: Version, keys: SiteKeys) -> str:
    """The keyed Merkle root over the sorted leaves, as `sha256:…`."""
    leaves = sorted(entry.leaf(keys) for entry in version.entries)
    return "sha256:" + merkle.root(leaves).hex()


def write_version(
    folder: Path, version: Version, recipe: ImportRecipe, families: Families, task: dict[str, Any]
) -> None:
    """Write a version's folder, whole or not at all; writing it again gives the same bytes.

    Args:
        folder: the dataset's folder.
        version: what to write.
        recipe: shape of its images.
        families: which shards hold images and masks.
        task: kind and classes.
    """
    index: dict[str, Any] = {
        "family": families.images,
        "shape": list(recipe.shape),
        "task": task,
        "patients": [entry.patient for entry in version.entries],
        "groups": group_words([entry.facts for entry in version.entries]),
    }
    arrays = label_arrays(version) | {
        "rows.npy": np.array([entry.row for entry in version.entries], "<i8"),
    }
    if families.masks is not None:
        index["masks"] = families.masks
        arrays["masks.npy"] = np.array([entry.mask for entry in version.entries], "<i8")
    if recipe.solid:
        index["intensity"] = recipe.intensity
        index["hu_range"] = list(recipe.hu_range)
        arrays["affines.npy"] = np.array([entry.affine for entry in version.entries], "<f8")
    write_folder(folder, version, recipe, index, arrays)


def label_arrays(version: Version) -> dict[str, NDArray[Any]]:
    """Labels and splits of the samples, by the names of their files."""
    return {
        "labels.npy": np.array([entry.label for entry in version.entries], "<i2"),
        "splits.npy": np.array([entry.split for entry in version.entries], "u1"),
    }


def write_folder(
    folder: Path,
    version: Version,
    recipe: BaseModel,
    index: dict[str, Any],
    arrays: Mapping[str, NDArray[Any]],
) -> None:
    """Write the folder of a version: arrays, index, description and quality, or nothing.

    Args:
        folder: the dataset's folder.
        version: what it is called, and what is said of it.
        recipe: how the cases were read.
        index: how the arrays are to be read.
        arrays: by file name.
    """
    final, partial = folder / version.folder, folder / f"{version.folder}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    for name, array in arrays.items():
        npy = BytesIO()
        np.save(npy, array, allow_pickle=False)
        _write(partial / name, npy.getvalue())
    _write(partial / INDEX, encode(index))
    _write(partial / DESCRIPTION, encode(version.description))
    _write(partial / RECIPE, recipe.model_dump_json().encode())
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
