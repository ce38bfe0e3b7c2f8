"""The import: from a folder, an archive or the inbox to a new version of a curated dataset.

Order: labels are read first (a wrong file stops before anything is written), then files are listed
by content, read by child processes, committed in batches, labelled, and named by a version. Each
batch is durable by itself; a killed import goes on where it stopped and ends in the same version.

Source: design/imaging.md §10, §11.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from compliance.canonical import encode, sha256_id
from compliance.errors import NotReady
from site_node.imaging import quality
from site_node.imaging.building import Builder
from site_node.imaging.cases import Case
from site_node.imaging.cells import as_lists, patients_by_cell
from site_node.imaging.croissant import TABLE, Holder, croissant
from site_node.imaging.curate import Families, Version, assemble, point_to, write_version
from site_node.imaging.curated import SEVERAL
from site_node.imaging.deid.profiles import TRAINING, Profile, find_profile
from site_node.imaging.deid.text_reader import need_reader
from site_node.imaging.held import held
from site_node.imaging.inbox import Inbox
from site_node.imaging.intake import Walk
from site_node.imaging.keys import open_keys
from site_node.imaging.labelling import BY_MASKS, check_key, label_all, mask_labels
from site_node.imaging.labels import (
    SLUG,
    Labels,
    Question,
    read_labels,
    zeros_eaten,
)
from site_node.imaging.reading import Place, Reader
from site_node.imaging.recipe import ImportRecipe, read_recipe
from site_node.imaging.sources import Fetch, Progress, Source, working
from site_node.imaging.tally import Tally, only_one_import, tally, write_list
from site_node.store import cleaned, objects, shards, versions
from site_node.store.journal import Sessions, Transaction
from site_node.store.objects import ObjectRow
from site_node.store.versions import VersionRow

LISTING = "quarantine.csv"
UNLABELLED = {"labels_file", "no_label", "not_a_file", "duplicate_bytes", "segmentation_unused"}
"""Outcomes after which only a label is missing."""


def silent(_words: str, _share: float) -> None:
    """Show no progress."""


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder."""
    return shutil.disk_usage(folder).free


def cores() -> int:
    """Child processes by default: all cores but one."""
    return max(1, (os.cpu_count() or 2) - 1)


@dataclass(frozen=True)
class Request:
    """What a technician asked for.

    `fetch` brings files into the inbox first and names their hashes: only those are imported.
    """

    source: Path | str
    name: str
    labels: Question | None
    recipe: Path | None = None
    profile: str = TRAINING.name
    find_text: bool = False
    list_files: bool = False
    fetch: Fetch | None = None


def request_of(source: Path | str, **asked: Any) -> Request:
    """Read the words of `site import`; what is not there was not said."""
    question = Question(
        path=asked["labels"],
        key=asked.get("label_key"),
        column=asked.get("label_column"),
        classes=asked.get("classes"),
    )
    if bool(asked.get("seg")) == (asked["labels"] is not None):
        raise NotReady(
            "an import needs either labels or masks.",
            "Name a CSV file with --labels, or say --seg to take DICOM Segmentations as masks.",
        )
    return Request(
        source=source,
        name=asked["name"],
        labels=None if asked.get("seg") else question,
        recipe=asked.get("recipe"),
        profile=asked.get("profile", TRAINING.name),
        find_text=bool(asked.get("find_text")),
        list_files=bool(asked.get("list_files")),
        fetch=asked.get("fetch"),
    )


class Importer:
    """Imports folders into curated datasets.

    Args:
        home: folder of the site.
        sessions: the site's database.
        floor: smallest count that a description may show.
        random: that many bytes nobody can guess, for the site's secret.
        jobs: child processes.
        free: free bytes on the disk of a folder.
        holder: whom the description names, and under which terms the dataset is held.
    """

    def __init__(
        self,
        *,
        home: Path,
        sessions: Sessions,
        floor: int,
        random: Callable[[int], bytes],
        jobs: int | None = None,
        free: Callable[[Path], int] = free_bytes,
        holder: Holder = Holder(),  # noqa: B008 - frozen, so one for all is harmless
    ) -> None:
        self._holder = holder
        self._home, self._sessions, self._floor = home, sessions, floor
        self._random, self._jobs, self._free = random, jobs or cores(), free

    def run(self, request: Request, progress: Progress = silent) -> dict[str, Any]:
        """Import a source; running it again changes nothing.

        Raises:
            NotReady: a word of the request is wrong, nothing could be imported, the disk is full.
        """
        check_name(request.name)
        with only_one_import(self._home), working(self._home) as work:
            return self._run(request, work, progress)

    def _run(self, request: Request, work: Path, progress: Progress) -> dict[str, Any]:
        recipe, profile = read_recipe(request.recipe), find_profile(request.profile)
        need_reader(find_text=request.find_text)
        self._keys = open_keys(self._home, self._random)
        labels = self._labels(request, recipe)
        source = Source(request.source, request.fetch)
        walk, fetched = source.walk(
            self._home,
            work=work,
            free=self._free,
            progress=progress,
            leave_out=request.labels.path if request.labels else None,
        )
        place = self._place(request, work, recipe, profile)
        rooms: dict[str, Any] = {"place": place, "sessions": self._sessions, "keys": self._keys}
        rooms |= {"jobs": self._jobs, "free": self._free}
        reader = Reader(**rooms)
        read = reader.read(walk.files, progress)
        Builder(**rooms).build(walk.files, progress)
        progress("curating", 1.0)
        told = self._curate(request, place, labels, walk, reader.gone)
        if source.received:
            self._put_in_place(walk)
        return told | {"read_now": read} | ({"pacs": fetched.plain()} if fetched else {})

    def _put_in_place(self, walk: Walk) -> None:
        """Keep what no dataset holds in the quarantine, everything else in the inbox."""
        here = {file.sha256 for file in walk.files}
        with self._sessions() as session:
            held, out = objects.held_and_out(session, here)
        Inbox(self._home).sort(held=held, out=out)

    def _labels(self, request: Request, recipe: ImportRecipe) -> Labels:
        with self._sessions() as session:
            newest = versions.newest(session, request.name)
        if newest and newest.summary["description"]["schema"] == TABLE:
            raise NotReady(
                f"dataset {request.name} holds a table.", "Choose another name with --dataset."
            )
        task = newest.summary["description"]["task"] if newest else None
        if request.labels is None:
            labels = mask_labels(recipe)
        else:
            labels = read_labels(request.labels, self._keys, task["classes"] if task else None)
            check_key(labels, recipe)
        if task and (task["kind"], task["classes"]) != (labels.task, labels.classes):
            raise NotReady(
                f"dataset {request.name} answers {', '.join(task['classes'])}, "
                f"these labels {', '.join(labels.classes)}.",
                "Use the same classes in the same order, or another name with --dataset.",
            )
        return labels

    def _place(self, request: Request, work: Path, recipe: ImportRecipe, profile: Profile) -> Place:
        folder = self._home / "datasets" / request.name
        for path in (folder.parent, folder):
            path.mkdir(mode=0o700, exist_ok=True)
        for left in folder.glob("*.partial"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        return Place(folder, work, request.name, recipe, profile, request.find_text)

    def _curate(
        self, request: Request, place: Place, labels: Labels, walk: Walk, gone: dict[str, str]
    ) -> dict[str, Any]:
        """Label, name and commit; on any error labels and version stay what they were."""
        here = {file.sha256 for file in walk.files}
        with self._sessions.begin() as session:
            there = held(session, place)
            unmatched, cases = label_all(there, place, self._keys, here, labels)
            rows = there.rows
            counts = tally(walk, {row.sha256: row for row in rows}, gone)
            if request.list_files:
                write_list(self._home / LISTING, counts.listed)
            if not counts.imported:
                raise self._nothing(labels, rows, counts)
            version = self._version(session, place, labels, (rows, cases))
            behind = len(objects.held_otherwise(session, request.name, place.examined_as))
            newest = versions.newest(session, request.name)
            is_new = newest is None or newest.version != version.name
            if is_new:
                self._keep(session, place, labels, version)
        point_to(place.folder, version.name, version.folder)
        told = _report(version, counts, unmatched, is_new=is_new)
        return told | ({"in_older_versions_only": behind} if behind else {})

    def _version(
        self,
        session: Transaction,
        place: Place,
        labels: Labels,
        told: tuple[Sequence[ObjectRow], Sequence[Case]],
    ) -> Version:
        here, (rows, cases) = (place.dataset, place.examined_as), told
        version = assemble(cases, self._keys, place.recipe)
        hashes = [row.sha256 for row in version.objects]
        quality.describe(
            version,
            place=place,
            task={"kind": labels.task, "classes": labels.classes},
            actions=cleaned.actions_of(session, *here, hashes),
            keys=self._keys,
            floor=self._floor,
            rows=rows,
        )
        return version

    def _keep(self, session: Transaction, place: Place, labels: Labels, version: Version) -> None:
        task = {"kind": labels.task, "classes": labels.classes}
        families = Families(shards.family_of(session, place.dataset, place.examined_as).family)
        if labels.task == BY_MASKS:
            masks = shards.family_of(session, place.dataset, place.masks_as).family
            families = replace(families, masks=masks)
        write_version(place.folder, version, place.recipe, families, task)
        counts = quality.exact_counts(version, task)
        positives = (
            {split: row[labels.classes[1]] for split, row in counts.items()}
            if labels.task == "binary"
            else {}
        )
        several = labels.task in SEVERAL
        leaving = croissant(version.description, version.quality, self._holder, self._floor)
        summary = {
            "n_by_split": quality.images_by_split(version) if several else counts,
            "patients": version.quality["patients"],
            "positives": positives,
            "modality": version.description["modality"],
            "body_part": version.description["body_part"],
            "description": version.description,
            "croissant": leaving,
            "description_sha256": sha256_id(encode(leaving)),
            "quality_sha256": sha256_id(encode(version.quality)),
            "deid": quality.deidentification(self._keys, version, place.profile),
            "cells": as_lists(patients_by_cell(version.alike(), task)),
        }
        row = VersionRow(
            dataset=place.dataset, version=version.name, folder=version.folder, summary=summary
        )
        versions.make_newest(session, row)

    def _nothing(self, labels: Labels, rows: Sequence[ObjectRow], counts: Tally) -> NotReady:
        keyed = {str(row.patient_key) for row in rows if row.patient_key}
        if labels.kind == "patient" and zeros_eaten(labels, self._keys, keyed):
            return NotReady(
                "no label fits a case here, but with leading zeros they would: "
                "a spreadsheet has eaten the zeros.",
                "Save the key column as text, with its zeros, and import again.",
            )
        found = counts.reasons + counts.skipped
        why = ", ".join(f"{reason} {n}" for reason, n in sorted(found.items()))
        if set(found) <= UNLABELLED:
            if labels.task == BY_MASKS:
                return NotReady(
                    f"no image has a mask ({why}).",
                    "Export the segmentations into the same folder, and name their segments in "
                    "the import recipe by the code or label that they carry.",
                )
            return NotReady(
                f"no file has a label ({why}).",
                "Check that the key column holds the values of the files (PatientID).",
            )
        return NotReady(
            f"none of {counts.seen} files could be imported ({why}).",
            "List the reasons: consilium site quarantine.",
        )


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a dataset."""
    if not SLUG.fullmatch(name):
        raise NotReady(
            f"{name!r} cannot be the name of a dataset.",
            "Use small letters, digits, - and _, at most 64: --dataset chest.",
        )


def _report(version: Version, counts: Tally, unmatched: int, *, is_new: bool) -> dict[str, Any]:
    quality_counts = version.quality["findings"]
    return {
        "dataset": version.description["name"],
        "version": version.name,
        "new_version": is_new,
        "summary": "a new version" if is_new else "nothing new: the same version as before",
        **counts.plain(),
        "patients": version.quality["patients"],
        "images": quality.images_by_split(version),
        "label_without_image": unmatched,
        "quality": quality_counts,
    }
