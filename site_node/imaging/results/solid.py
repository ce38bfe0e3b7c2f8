"""Volumes for a model: put together as an import does, in a database and a folder of one run.

Nothing of it is kept: both lie in the work folder, which is emptied at the end, however it ends.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.records.reasons import Quarantine
from site_node.imaging.building import Builder
from site_node.imaging.curated import TOP
from site_node.imaging.deid.profiles import TRAINING
from site_node.imaging.held import held
from site_node.imaging.intake import Found
from site_node.imaging.reading import Place, Reader
from site_node.imaging.results.heads import CREW
from site_node.imaging.results.laying import on_slices
from site_node.imaging.results.reading import (
    BYTES,
    DUPLICATE_BYTES,
    NO_IMAGE,
    Desk,
    Image,
    LeftOut,
)
from site_node.imaging.shards import rows_per_file, shard_path
from site_node.imaging.sources import Progress
from site_node.imaging.volumes import Volume, volumes_of
from site_node.imaging.workers import Job, Pool
from site_node.store import shards
from site_node.store.journal import close_store
from site_node.store.objects import HELD, QUARANTINED, ObjectRow
from site_node.store.schema import open_store

DATASET = "predict"


def read_volumes(
    files: Sequence[Found], desk: Desk, progress: Progress
) -> Iterator[list[Image | LeftOut]]:
    """Every file once: as a slice of a volume, or with the word for why it is in none.

    Raises:
        NotReady: the disk is full, or no child process starts.
    """
    recipe = desk.recipe.model_copy(update={"segments": ()})
    folder = desk.work / DATASET
    folder.mkdir(mode=0o700)
    place = Place(folder, desk.work, DATASET, recipe, TRAINING, desk.find_text)
    sessions = open_store(desk.work / "run.sqlite")
    rooms: dict[str, Any] = {"place": place, "sessions": sessions, "keys": desk.keys}
    rooms |= {"jobs": desk.jobs, "free": lambda path: shutil.disk_usage(path).free}
    try:
        reader = Reader(**rooms)
        reader.read(files, progress)
        Builder(**rooms).build(files, progress)
        with sessions.begin() as session:
            there = held(session, place)
            family = shards.family_of(session, DATASET, place.examined_as).family
        told = volumes_of(there.rows, there.places, recipe, desk.keys)
        first = {file.sha256: file for file in reversed(files)}
        yield _left_out(files, first, there.rows, told.out | reader.gone)
        with Pool(work=desk.work, crew=CREW, jobs=desk.jobs) as pool:
            for volume in told.found:
                pixels = _pixels(place, family, there.samples[volume.key][0])
                yield [_image(volume, pixels, desk, pool, first)]
    finally:
        close_store(sessions)


def _left_out(
    files: Sequence[Found],
    first: dict[str, Found],
    rows: Sequence[ObjectRow],
    out: dict[str, str],
) -> list[Image | LeftOut]:
    """Files that are in no volume."""
    by_hash = {row.sha256: row for row in rows}
    told: list[Image | LeftOut] = []
    for file in files:
        row = by_hash.get(file.sha256)
        if first[file.sha256] is not file:
            told.append(LeftOut(file, DUPLICATE_BYTES, quarantined=False))
        elif row is None or file.sha256 in out:
            word = out.get(file.sha256, "vanished")
            told.append(LeftOut(file, word, quarantined=word in {*Quarantine}))
        elif row.outcome != HELD or row.stays_out:
            word = str(row.stays_out or row.reason or NO_IMAGE)
            told.append(LeftOut(file, word, quarantined=row.outcome == QUARANTINED))
    return told


def _image(
    volume: Volume, pixels: NDArray[np.float32], desk: Desk, pool: Pool, first: dict[str, Found]
) -> Image | LeftOut:
    """A volume with the header of each of its slices, in their order."""
    names = list(dict.fromkeys(frame.source for frame in volume.stack.frames))
    found = [first[name] for name in names]
    if len(names) != len(volume.stack.frames):
        return LeftOut(found[0], Quarantine.CLASS_NOT_SUPPORTED.value, quarantined=True)
    sources = _sources(found, pool)
    if sources is None:
        return LeftOut(found[0], "vanished", quarantined=False)
    axes = volume.axes(desk.recipe)
    return Image(
        file=found[0],
        instances=tuple(str(source["SOPInstanceUID"]) for source in sources),
        pixels=pixels,
        sources=tuple(sources),
        lay=lambda mask: on_slices(mask[0], axes, volume.stack.turn),
    )


def _sources(files: Sequence[Found], pool: Pool) -> list[dict[str, Any]] | None:
    jobs = [Job(number, file.path, file.size, file.sha256) for number, file in enumerate(files)]
    told = {answer.job.number: answer.told.get("source") for answer in pool.run(jobs)}
    found = [told[number] for number in range(len(files))]
    return None if None in found else [dict(source) for source in found if source is not None]


def _pixels(place: Place, family: int, row: int) -> NDArray[np.float32]:
    """One volume, float32 (1, C, D, H, W) in [0, 1]."""
    shape = place.recipe.shape
    size = prod(shape) * BYTES
    number, inside = divmod(row, rows_per_file(size))
    path: Path = shard_path(place.folder, family, number)
    stored = np.memmap(path, "<u2", "r", inside * size, shape)
    return (np.asarray(stored, np.float32) / TOP)[None]
