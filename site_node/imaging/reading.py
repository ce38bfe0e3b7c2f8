"""Files become committed objects: read by children, judged against each other, kept in batches.

To commit a batch: image rows to the shard, fsync, then one database transaction with outcomes and
the new count of rows. Whatever stops this process, the database says what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

from compliance.canonical import digest_of
from compliance.records.reasons import Quarantine
from site_node.imaging.contradictions import Contradictions, put_out
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import Profile
from site_node.imaging.deid.text_reader import jobs_for
from site_node.imaging.facts import SEGMENTATIONS
from site_node.imaging.intake import Found
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.shards import Shards, check_room, disk_full, open_shards
from site_node.imaging.sources import Progress
from site_node.imaging.workers import Answer, Job, Pool, examiners
from site_node.store import cleaned, geometry, objects, samples, shards
from site_node.store.journal import Sessions
from site_node.store.objects import HELD, QUARANTINED, SEGMENTATION, NewObject
from site_node.store.samples import SampleRow

BATCH = 256
BATCH_BYTES = 64 << 20
WIDTH = 2
NOT_KEPT = ("vanished", "changed", "unreadable")
FULL = "disk_full"


@dataclass(frozen=True)
class Place:
    """Where a dataset is kept and under which name, recipe and profile."""

    folder: Path
    work: Path
    dataset: str
    recipe: ImportRecipe
    profile: Profile
    find_text: bool = False

    @property
    def order(self) -> Order:
        """What children are told to do."""
        return Order(self.profile, self.recipe.accept_burned_in, self.find_text)

    @cached_property
    def examined_as(self) -> str:
        """Names what decides an outcome: under another recipe or profile a file is read anew."""
        told = {"pixels": self.recipe.pixels_id, "profile": self.profile.sha256}
        if self.find_text:
            told["text"] = "read"
        return digest_of(told).removeprefix("sha256:")

    @property
    def row_bytes(self) -> int:
        """Size of one sample on disk."""
        return prod(self.recipe.shape) * WIDTH

    @property
    def mask_bytes(self) -> int:
        """Size of one mask on disk."""
        return prod(self.recipe.size)

    @property
    def masks_as(self) -> str:
        """Names the masks of this recipe beside its images."""
        return f"{self.examined_as}/masks"


@dataclass
class _Taken:
    """A batch that was read and judged, and what is kept with it, by content hash."""

    rows: list[NewObject] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)
    done: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Any] = field(default_factory=dict)
    out: list[str] = field(default_factory=list)


class Reader:
    """Reads what is new and commits it.

    Args:
        place: where to keep it.
        sessions: the site's database.
        keys: for pseudonyms.
        jobs: child processes.
        free: free bytes on the disk of a folder.
    """

    def __init__(
        self,
        *,
        place: Place,
        sessions: Sessions,
        keys: SiteKeys,
        jobs: int,
        free: Callable[[Path], int],
    ) -> None:
        self._place, self._sessions, self._keys = place, sessions, keys
        self._jobs, self._free = jobs, free
        self._sums: dict[str, dict[str, Any]] = {}
        self.gone: dict[str, str] = {}

    def read(self, files: Iterable[Found], progress: Progress) -> int:
        """Read every content that is not known yet; returns how many there were.

        Raises:
            NotReady: the disk is full, or no child process starts.
        """
        fresh = self._fresh(files)
        with self._sessions.begin() as session:
            known = Contradictions(
                objects.judged(session, self._place.dataset, self._place.examined_as),
                by_pixels=not self._place.recipe.solid,
            )
        place = self._place
        store = open_shards(
            self._sessions, place.folder, place.dataset, place.examined_as, place.row_bytes
        )
        self._check_room(len(fresh))
        step = max(1, min(BATCH, BATCH_BYTES // max(self._frame_bytes(), 1)))
        order = self._place.order
        crew = examiners(self._place.recipe, order.line(self._keys), order.more_seconds)
        jobs = jobs_for(order, self._jobs)
        with Pool(work=self._place.work, crew=crew, jobs=jobs) as pool:
            for start in range(0, len(fresh), step):
                batch = fresh[start : start + step]
                answers = []
                for answer in pool.run(_jobs(batch)):
                    answers.append(answer)
                    done = start + len(answers)
                    progress(f"{done} of {len(fresh)} {order.doing}", done / len(fresh))
                answers.sort(key=lambda answer: answer.job.number)
                if any(answer.told.get("skipped") == FULL for answer in answers):
                    raise disk_full(len(batch) * self._frame_bytes())
                self._check_room(len(batch))
                self._commit(batch, answers, known, store)
        return len(fresh)

    def _fresh(self, files: Iterable[Found]) -> list[Found]:
        with self._sessions() as session:
            known = objects.known_hashes(session, self._place.dataset, self._place.examined_as)
        first: dict[str, Found] = {}
        for file in files:
            if file.sha256 not in known:
                first.setdefault(file.sha256, file)
        return [first[sha256] for sha256 in sorted(first)]

    def _frame_bytes(self) -> int:
        """What one file adds now; slices add nothing before their volume is put together."""
        if self._place.recipe.solid:
            return 0
        return self._place.row_bytes * self._place.recipe.frames_per_object

    def _check_room(self, count: int) -> None:
        check_room(self._free(self._place.folder), count * self._frame_bytes())

    def _commit(
        self, batch: Sequence[Found], answers: list[Answer], known: Contradictions, store: Shards
    ) -> None:
        taken = self._taken(batch, answers, known)
        place, size = self._place, self._place.row_bytes
        frames = [
            (row.sha256, frame, images[frame * size : (frame + 1) * size])
            for row in taken.rows
            if row.outcome == HELD
            for images in (taken.images[row.sha256],)
            for frame in range(len(images) // size)
        ]
        first = store.append(image for _, _, image in frames)
        dataset, recipe = place.dataset, place.examined_as
        rows = [
            SampleRow(
                dataset=dataset, recipe=recipe, sha256=sha256, frame=frame, row=first + number
            )
            for number, (sha256, frame, _) in enumerate(frames)
        ]
        two_patients = Quarantine.SAME_IMAGE_TWO_PATIENTS.value
        with self._sessions.begin() as session:
            objects.add_objects(session, taken.rows)
            cleaned.add_cleaned(session, dataset, recipe, taken.done, self._sums)
            geometry.add_geometry(session, dataset, recipe, taken.places)
            objects.put_out(session, dataset, recipe, taken.out, two_patients)
            samples.add_samples(session, rows)
            shards.family_of(session, dataset, recipe).rows = store.rows

    def _taken(
        self, batch: Sequence[Found], answers: list[Answer], known: Contradictions
    ) -> _Taken:
        """What the answers of a batch come to, after each was judged against those before it."""
        taken = _Taken()
        sums = [answer.told["done"] for answer in answers if "done" in answer.told]
        self._sums |= {digest_of(one): one for one in sums}
        for answer in answers:
            sha256 = batch[answer.job.number].sha256
            if answer.told.get("skipped") in NOT_KEPT:
                self.gone[sha256] = answer.told["skipped"]
                continue
            row = self._row(sha256, answer.told)
            if row.outcome in (HELD, SEGMENTATION):
                taken.out += known.judge(row)
                taken.images[sha256] = answer.images
                taken.done[sha256] = answer.told["actions"]
                if answer.told["place"]:
                    taken.places[sha256] = keyed(answer.told["place"], self._keys)
            taken.rows.append(row)
        put_out(taken.rows, taken.out)
        return taken

    def _row(self, sha256: str, told: dict[str, Any]) -> NewObject:
        """One object as it is kept: keyed, closed words, no header."""
        row = NewObject(
            dataset=self._place.dataset,
            recipe=self._place.examined_as,
            sha256=sha256,
            outcome=told.get("skipped", QUARANTINED if "reason" in told else HELD),
            reason=told.get("reason"),
            facts=told.get("facts", {}),
            findings=told.get("findings", []),
        )
        if row.outcome == HELD and row.facts["class"] in SEGMENTATIONS.values():
            row.outcome = SEGMENTATION
        if row.outcome in (HELD, SEGMENTATION):
            identity = told["identity"]
            row.pixels = self._keys.leaf(bytes.fromhex(told["pixels"])).hex()
            row.patient = self._keys.pseudonym(identity["issuer"], identity["patient"])
            for kind in ("patient", "study", "series", "instance", "accession"):
                if identity[kind]:
                    setattr(row, f"{kind}_key", self._keys.match(kind, identity[kind]))
        return row


def _jobs(batch: Sequence[Found]) -> list[Job]:
    return [Job(number, file.path, file.size, file.sha256) for number, file in enumerate(batch)]


def keyed(place: dict[str, Any], keys: SiteKeys) -> dict[str, Any]:
    """A place as it may be kept: UIDs become keyed stand-ins, numbers stay."""
    told = dict(place)
    told["space"] = keys.match("space", place["space"]) if place["space"] else ""
    if "images" in place:
        told["images"] = [keys.match("instance", uid) for uid in place["images"]]
    return told
