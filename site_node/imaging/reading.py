"""Files become committed objects: read by children, judged against each other, kept in batches.

To commit a batch: image rows to the shard, fsync, then one database transaction with outcomes and
the new count of rows. Whatever stops this process, the database says what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from compliance.records.reasons import Quarantine
from site_node.imaging.contradictions import Contradictions
from site_node.imaging.intake import Found
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.shards import Shards, disk_full
from site_node.imaging.workers import Answer, Job, Pool
from site_node.store import objects, samples, shards
from site_node.store.journal import Sessions
from site_node.store.objects import HELD, QUARANTINED, ObjectRow
from site_node.store.samples import SampleRow

Progress: TypeAlias = Callable[[str, float], None]

BATCH = 256
BATCH_BYTES = 64 << 20
WIDTH = 2
MARGIN = 1.2
NOT_KEPT = ("vanished", "changed", "unreadable")
FULL = "disk_full"


@dataclass(frozen=True)
class Place:
    """Where a dataset is kept and under which name and recipe."""

    folder: Path
    work: Path
    dataset: str
    recipe: ImportRecipe

    @property
    def row_bytes(self) -> int:
        """Size of one image on disk."""
        channels, rows, columns = self.recipe.shape
        return channels * rows * columns * WIDTH


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
        self.gone: dict[str, str] = {}

    def read(self, files: Iterable[Found], progress: Progress) -> int:
        """Read every content that is not known yet; returns how many there were.

        Raises:
            NotReady: the disk is full, or no child process starts.
        """
        fresh = self._fresh(files)
        with self._sessions.begin() as session:
            row = shards.family_of(session, self._place.dataset, self._place.recipe.pixels_id)
            before = objects.rows_of(session, self._place.dataset, self._place.recipe.pixels_id)
            family, count = row.family, row.rows
        store = Shards(
            folder=self._place.folder, family=family, row_bytes=self._place.row_bytes, rows=count
        )
        store.cut()
        self._check_room(len(fresh))
        known = Contradictions(before)
        step = max(1, min(BATCH, BATCH_BYTES // self._frame_bytes()))
        with Pool(work=self._place.work, recipe=self._place.recipe, jobs=self._jobs) as pool:
            for start in range(0, len(fresh), step):
                batch = fresh[start : start + step]
                answers = []
                for answer in pool.run(_jobs(batch)):
                    answers.append(answer)
                    done = start + len(answers)
                    progress(f"{done} of {len(fresh)} files", done / len(fresh))
                answers.sort(key=lambda answer: answer.job.number)
                if any(answer.told.get("skipped") == FULL for answer in answers):
                    raise disk_full(len(batch) * self._frame_bytes())
                self._check_room(len(batch))
                self._commit(batch, answers, known, store)
        return len(fresh)

    def _fresh(self, files: Iterable[Found]) -> list[Found]:
        with self._sessions() as session:
            known = objects.known_hashes(session, self._place.dataset, self._place.recipe.pixels_id)
        first: dict[str, Found] = {}
        for file in files:
            if file.sha256 not in known:
                first.setdefault(file.sha256, file)
        return [first[sha256] for sha256 in sorted(first)]

    def _frame_bytes(self) -> int:
        return self._place.row_bytes * self._place.recipe.frames_per_object

    def _check_room(self, count: int) -> None:
        needed = int(count * self._frame_bytes() * MARGIN)
        if self._free(self._place.folder) < needed:
            raise disk_full(needed)

    def _commit(
        self, batch: Sequence[Found], answers: list[Answer], known: Contradictions, store: Shards
    ) -> None:
        rows, images, put_out = [], {}, []
        for answer in answers:
            sha256 = batch[answer.job.number].sha256
            if answer.told.get("skipped") in NOT_KEPT:
                self.gone[sha256] = answer.told["skipped"]
                continue
            row = self._row(sha256, answer.told)
            if row.outcome == HELD:
                put_out += known.judge(row)
                images[sha256] = answer.images
            rows.append(row)
        kept = [row.sha256 for row in rows if row.outcome == HELD]
        size = self._place.row_bytes
        frames = [
            (sha256, frame, images[sha256][frame * size : (frame + 1) * size])
            for sha256 in kept
            for frame in range(len(images[sha256]) // size)
        ]
        first = store.append(image for _, _, image in frames)
        recipe = self._place.recipe.pixels_id
        with self._sessions.begin() as session:
            objects.add_objects(session, rows)
            objects.put_out(
                session,
                self._place.dataset,
                recipe,
                put_out,
                Quarantine.SAME_IMAGE_TWO_PATIENTS.value,
            )
            samples.add_samples(
                session,
                [
                    SampleRow(
                        dataset=self._place.dataset,
                        recipe=recipe,
                        sha256=sha256,
                        frame=frame,
                        row=first + number,
                    )
                    for number, (sha256, frame, _) in enumerate(frames)
                ],
            )
            shards.family_of(session, self._place.dataset, recipe).rows = store.rows

    def _row(self, sha256: str, told: dict[str, Any]) -> ObjectRow:
        """One object as it is kept: keyed, closed words, no header."""
        row = ObjectRow(
            dataset=self._place.dataset,
            recipe=self._place.recipe.pixels_id,
            sha256=sha256,
            outcome=told.get("skipped", QUARANTINED if "reason" in told else HELD),
            reason=told.get("reason"),
            facts=told.get("facts", {}),
            findings=told.get("findings", []),
        )
        if row.outcome == HELD:
            identity = told["identity"]
            row.pixels = self._keys.leaf(bytes.fromhex(told["pixels"])).hex()
            row.patient = self._keys.pseudonym(identity["issuer"], identity["patient"])
            for kind in ("patient", "study", "series", "instance", "accession"):
                if identity[kind]:
                    setattr(row, f"{kind}_key", self._keys.match(kind, identity[kind]))
        return row


def _jobs(batch: Sequence[Found]) -> list[Job]:
    return [Job(number, file.path, file.size, file.sha256) for number, file in enumerate(batch)]
