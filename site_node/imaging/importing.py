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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from compliance.canonical import encode, sha256_id
from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging import quality
from site_node.imaging.archive import walk_archive
from site_node.imaging.croissant import Holder, croissant
from site_node.imaging.curate import Version, assemble, point_to, write_version
from site_node.imaging.inbox import Fetched, Inbox
from site_node.imaging.intake import Walk, walk_folder
from site_node.imaging.keys import open_keys
from site_node.imaging.labels import SLUG, Labels, Question, read_labels, zeros_eaten
from site_node.imaging.reading import Place, Progress, Reader
from site_node.imaging.recipe import ImportRecipe, read_recipe
from site_node.imaging.tally import Tally, only_one_import, tally, write_list
from site_node.store import objects, samples, shards, versions
from site_node.store.journal import Sessions, Transaction
from site_node.store.objects import HELD, ObjectRow
from site_node.store.versions import VersionRow

LISTING = "quarantine.csv"
INBOX, PACS = "inbox", "pacs"


Fetch: TypeAlias = Callable[[Progress], Fetched]


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
    labels: Question
    recipe: Path | None = None
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
    return Request(
        source=source,
        name=asked["name"],
        labels=question,
        recipe=asked.get("recipe"),
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
        _check_name(request.name)
        with only_one_import(self._home):
            return self._run(request, progress)

    def _run(self, request: Request, progress: Progress) -> dict[str, Any]:
        recipe = read_recipe(request.recipe)
        self._keys = open_keys(self._home, self._random)
        labels = self._labels(request)
        work = self._empty_work()
        fetched = request.fetch(progress) if request.fetch else None
        walk = self._walk(request, work, fetched)
        if not walk.files:
            raise _empty(request, fetched)
        place = self._place(request.name, work, recipe)
        reader = Reader(
            place=place,
            sessions=self._sessions,
            keys=self._keys,
            jobs=self._jobs,
            free=self._free,
        )
        read = reader.read(walk.files, progress)
        progress("curating", 1.0)
        told = self._curate(request, place, labels, walk, reader.gone)
        if request.source in (INBOX, PACS):
            self._put_in_place(walk)
        return told | {"read_now": read} | ({"pacs": fetched.plain()} if fetched else {})

    def _walk(self, request: Request, work: Path, fetched: Fetched | None) -> Walk:
        if request.source in (INBOX, PACS):
            return Inbox(self._home).walk(fetched.hashes if fetched else None)
        source = Path(request.source)
        if source.is_file():
            return walk_archive(source, work, self._free)
        return walk_folder(source, leave_out=request.labels.path)

    def _put_in_place(self, walk: Walk) -> None:
        """Keep what no dataset holds in the quarantine, everything else in the inbox."""
        here = {file.sha256 for file in walk.files}
        with self._sessions() as session:
            held, out = objects.held_and_out(session, here)
        Inbox(self._home).sort(held=held, out=out)

    def _labels(self, request: Request) -> Labels:
        with self._sessions() as session:
            newest = versions.newest(session, request.name)
        task = newest.summary["description"]["task"] if newest else None
        labels = read_labels(request.labels, self._keys, task["classes"] if task else None)
        if task and (task["kind"], task["classes"]) != (labels.task, labels.classes):
            raise NotReady(
                f"dataset {request.name} answers {', '.join(task['classes'])}, "
                f"these labels {', '.join(labels.classes)}.",
                "Use the same classes in the same order, or another name with --dataset.",
            )
        return labels

    def _empty_work(self) -> Path:
        work = self._home / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700, exist_ok=True)
        return work

    def _place(self, name: str, work: Path, recipe: ImportRecipe) -> Place:
        folder = self._home / "datasets" / name
        for path in (folder.parent, folder):
            path.mkdir(mode=0o700, exist_ok=True)
        for left in folder.glob("*.partial"):
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink()
        return Place(folder, work, name, recipe)

    def _curate(
        self, request: Request, place: Place, labels: Labels, walk: Walk, gone: dict[str, str]
    ) -> dict[str, Any]:
        """Label, name and commit; on any error labels and version stay what they were."""
        here = {file.sha256 for file in walk.files}
        with self._sessions.begin() as session:
            rows = objects.rows_of(session, request.name, place.recipe.pixels_id)
            unmatched = _label(rows, here, labels)
            counts = tally(walk, {row.sha256: row for row in rows}, gone)
            if request.list_files:
                write_list(self._home / LISTING, counts.listed)
            if not counts.imported:
                raise self._nothing(labels, rows, counts)
            version = self._version(session, place, labels, rows)
            newest = versions.newest(session, request.name)
            is_new = newest is None or newest.version != version.name
            if is_new:
                self._keep(session, place, labels, version)
        point_to(place.folder, version.name, version.folder)
        return _report(version, counts, unmatched, is_new=is_new)

    def _version(
        self, session: Transaction, place: Place, labels: Labels, rows: Sequence[ObjectRow]
    ) -> Version:
        held = samples.rows_by_object(session, place.dataset, place.recipe.pixels_id)
        version = assemble(rows, held, self._keys, place.recipe)
        quality.describe(
            version,
            name=place.dataset,
            task={"kind": labels.task, "classes": labels.classes},
            recipe=place.recipe,
            keys=self._keys,
            floor=self._floor,
            rows=rows,
        )
        return version

    def _keep(self, session: Transaction, place: Place, labels: Labels, version: Version) -> None:
        task = {"kind": labels.task, "classes": labels.classes}
        family = shards.family_of(session, place.dataset, place.recipe.pixels_id).family
        write_version(place.folder, version, place.recipe, family, task)
        counts = quality.exact_counts(version, task)
        positives = (
            {split: row[labels.classes[1]] for split, row in counts.items()}
            if labels.task == "binary"
            else {}
        )
        several = labels.task == "multilabel"
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
            "deid": quality.deidentification(self._keys, version),
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
        if set(found) - {"labels_file"} <= {"no_label", "not_a_file", "duplicate_bytes"}:
            return NotReady(
                f"no file has a label ({why}).",
                "Check that the key column holds the values of the files (PatientID).",
            )
        return NotReady(
            f"none of {counts.seen} files could be imported ({why}).",
            "List the reasons: consilium site quarantine.",
        )


def _empty(request: Request, fetched: Fetched | None) -> NotReady:
    if request.source == INBOX:
        return NotReady(
            "nothing has arrived in the inbox.",
            "Set scp_allow and run `consilium site serve`, then send from the PACS.",
        )
    if fetched is None:
        return NotReady(
            f"{request.source} holds no file to import.",
            "Name the folder into which the PACS exported, then try again.",
        )
    why = ", ".join(f"{reason} {n}" for reason, n in sorted(fetched.missing.items()))
    return NotReady(
        f"the PACS names {fetched.named} objects for this query and none came"
        f"{f' ({why})' if why else ''}.",
        "Ask for less or for something else; with `pacs_retrieve` move, `site serve` must run.",
    )


def _check_name(name: str) -> None:
    if not SLUG.fullmatch(name):
        raise NotReady(
            f"{name!r} cannot be the name of a dataset.",
            "Use small letters, digits, - and _, at most 64: --dataset chest.",
        )


def _label(rows: Sequence[ObjectRow], here: set[str], labels: Labels) -> int:
    """Put labels on the objects of this source; returns how many labels found no image."""
    used: set[str] = set()
    for row in rows:
        if row.sha256 not in here or row.outcome != HELD:
            continue
        keyed = str(getattr(row, f"{labels.kind}_key"))
        conflict = keyed in labels.conflicts
        row.label = None if conflict else labels.of.get(keyed)
        row.given_split = labels.splits.get(keyed)
        row.label_reason = Quarantine.LABEL_CONFLICT.value if conflict else None
        used.add(keyed)
    return len((labels.of.keys() | labels.conflicts) - used)


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
