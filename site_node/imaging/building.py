"""Volumes and masks are put together: the second look at files, for their pixels.

Everything that is asked for is told from the database (`volumes`, `cases`), so an import that was
killed goes on where it stopped. One volume is put together at a time, in a memory-mapped file in
`work/`; to commit it: bytes to the shard, fsync, then one database transaction.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.records.reasons import Quarantine
from site_node.imaging.cases import Case, Drawn, drawn_cases
from site_node.imaging.grid import Axis, slice_linear
from site_node.imaging.held import Held, cases_of, held
from site_node.imaging.intake import Found
from site_node.imaging.intensity import stored_slices
from site_node.imaging.keys import SiteKeys
from site_node.imaging.masking import mask_of
from site_node.imaging.masks import Drawing, Overlap, Unmatched
from site_node.imaging.reading import FULL, Place
from site_node.imaging.segmentation import Piece
from site_node.imaging.shards import IMAGES, MASKS, Shards, check_room, disk_full, open_shards
from site_node.imaging.sources import Progress
from site_node.imaging.volumes import Places, Volume, volumes_of
from site_node.imaging.workers import Answer, Job, Pool, framers
from site_node.store import masks, samples, shards
from site_node.store.journal import Sessions
from site_node.store.masks import MaskRow
from site_node.store.objects import ObjectRow
from site_node.store.samples import SampleRow

ELSEWHERE = "segmentation_elsewhere"
FLOAT = 4


class Builder:
    """Puts together what is not there yet, as far as its files are here.

    Args:
        place: where the dataset is kept.
        sessions: the site's database.
        keys: name volumes and masks.
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

    def build(self, files: Iterable[Found], progress: Progress) -> None:
        """Build every volume and mask that is missing.

        Raises:
            NotReady: the disk is full, or no child process starts.
        """
        self._files = {file.sha256: file for file in files}
        crew = framers(self._place.recipe)
        with Pool(work=self._place.work, crew=crew, jobs=self._jobs) as self._pool:
            if self._place.recipe.solid:
                self._build_volumes(progress)
            if self._place.recipe.segments:
                self._build_masks(progress)

    def _held(self) -> Held:
        with self._sessions() as session:
            return held(session, self._place)

    def _here(self, rows: Iterable[ObjectRow]) -> bool:
        return all(row.sha256 in self._files for row in rows)

    def _build_volumes(self, progress: Progress) -> None:
        there = self._held()
        found = volumes_of(there.rows, there.places, self._place.recipe, self._keys).found
        missing = [
            volume
            for volume in found
            if volume.key not in there.samples and self._here(volume.rows)
        ]
        store = self._store(self._place.examined_as, self._place.row_bytes)
        for number, volume in enumerate(missing, start=1):
            progress(f"volume {number} of {len(missing)}", number / len(missing))
            self._build(volume, store)

    def _store(self, recipe: str, row_bytes: int, kind: str = IMAGES) -> Shards:
        place = self._place
        return open_shards(
            self._sessions, place.folder, place.dataset, recipe, row_bytes, kind=kind
        )

    def _check_room(self, needed: int) -> None:
        check_room(self._free(self._place.folder), needed)

    def _build(self, volume: Volume, store: Shards) -> None:
        slices, rows, columns = volume.axes(self._place.recipe)
        shape = (len(volume.stack.frames), rows.size, columns.size)
        self._check_room(self._place.row_bytes + prod(shape) * FLOAT)
        path = self._place.work / "volume.f32"
        planes = _reserve(path, shape)
        if self._fill(planes, volume, rows, columns):
            data = b"".join(stored_slices(planes, slices, self._place.recipe))
            self._keep_volume(volume, data, store)
        del planes
        path.unlink()

    def _fill(self, planes: NDArray[np.float32], volume: Volume, rows: Axis, columns: Axis) -> bool:
        """Lay every slice at its place; False when a file could not be read again."""
        where: dict[str, list[tuple[int, int]]] = {}
        for number, frame in enumerate(volume.stack.frames):
            where.setdefault(frame.source, []).append((number, frame.number))
        whole = True
        for sha256, answer in self._look(volume.rows):
            frames = _frames_of(answer)
            if frames is None:
                whole = False
                continue
            for number, frame_number in where[sha256]:
                turned = volume.stack.turn.apply(frames[frame_number])
                planes[number] = slice_linear(turned, rows, columns)
        return whole

    def _look(self, rows: Sequence[ObjectRow]) -> Iterable[tuple[str, Answer]]:
        """Ask for the frames of objects; an answer must be used before the next is asked for."""
        jobs = [
            Job(number, self._files[row.sha256].path, self._files[row.sha256].size, row.sha256)
            for number, row in enumerate(rows)
        ]
        for answer in self._pool.run(jobs):
            if answer.told.get("skipped") == FULL:
                raise disk_full(self._place.row_bytes)
            yield rows[answer.job.number].sha256, answer

    def _keep_volume(self, volume: Volume, data: bytes, store: Shards) -> None:
        here = {"dataset": self._place.dataset, "recipe": self._place.examined_as}
        first = store.append([data])
        with self._sessions.begin() as session:
            samples.add_samples(session, [SampleRow(**here, sha256=volume.key, frame=0, row=first)])
            shards.family_of(session, *here.values()).rows = store.rows

    def _build_masks(self, progress: Progress) -> None:
        there = self._held()
        cases = cases_of(there, self._place, self._keys)
        drawn = drawn_cases(cases, there.rows, there.places, self._keys)
        together: dict[tuple[str, ...], list[Drawn]] = {}
        for one in drawn:
            if one.key not in there.masks and self._here(one.segmentations):
                names = tuple(row.sha256 for row in one.segmentations)
                together.setdefault(names, []).append(one)
        store = self._store(self._place.masks_as, self._place.mask_bytes, kind=MASKS)
        for number, group in enumerate(together.values(), start=1):
            progress(f"mask {number} of {len(together)}", number / len(together))
            self._draw(group, there.places, store)

    def _draw(self, group: Sequence[Drawn], places: Places, store: Shards) -> None:
        self._check_room(len(group) * self._place.mask_bytes)
        drawings, paths = [], []
        for sha256, answer in self._look(group[0].segmentations):
            frames = _frames_of(answer)
            if frames is None:
                return
            path = self._place.work / f"{sha256[:16]}.u8"
            del frames
            paths.append(answer.scratch.rename(path))
            drawings.append(self._drawing(answer, path))
        for one in group:
            self._keep_mask(one, self._mask(one.case, drawings, places), store)
        for path in paths:
            path.unlink()

    def _drawing(self, answer: Answer, path: Path) -> Drawing:
        pieces = [
            Piece.of(
                told | {"images": [self._keys.match("instance", uid) for uid in told["images"]]}
            )
            for told in answer.told["pieces"]
        ]
        return Drawing(pieces, _mapped(answer, path))

    def _mask(self, case: Case, drawings: Sequence[Drawing], places: Places) -> NDArray[Any] | str:
        try:
            return mask_of(case, drawings, places.get(case.row.sha256, {}), self._place.recipe)
        except Overlap:
            return Quarantine.LABEL_CONFLICT.value
        except Unmatched:
            return ELSEWHERE

    def _keep_mask(self, one: Drawn, mask: NDArray[Any] | str, store: Shards) -> None:
        row = MaskRow(
            dataset=self._place.dataset, recipe=self._place.examined_as, key=one.key, classes=[]
        )
        if isinstance(mask, str):
            row.reason = mask
        else:
            row.row = store.append([mask.tobytes()])
            present = np.bincount(mask.ravel(), minlength=len(self._place.recipe.segments) + 1)
            row.classes = [int(count > 0) for count in present[1:]]
        with self._sessions.begin() as session:
            masks.add_masks(session, [row])
            shards.family_of(session, self._place.dataset, self._place.masks_as).rows = store.rows


def _reserve(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """A mapped file with every block taken: a disk that fills up later would kill the process."""
    size = prod(shape) * FLOAT
    with path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise disk_full(size) from error
    return np.memmap(path, np.float32, "r+", shape=shape)


def _frames_of(answer: Answer) -> NDArray[Any] | None:
    """The frames of an answer, (frames, rows, columns), mapped; None when the file was not read."""
    return _mapped(answer, answer.scratch) if "frames" in answer.told else None


def _mapped(answer: Answer, path: Path) -> NDArray[Any]:
    told = answer.told
    shape = (told["frames"], told["rows"], told["columns"])
    if not told["frames"]:
        return np.zeros(shape, told["type"])
    return np.memmap(path, told["type"], "r", shape=shape)
