"""Images for a model: read by bounded children with the steps of an import, batch by batch.

Nothing is kept: pixels and header values live as long as their batch.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.curated import TOP
from site_node.imaging.decode import pixel_size
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import TRAINING
from site_node.imaging.deid.text_reader import jobs_for
from site_node.imaging.facts import SEGMENTATIONS
from site_node.imaging.intake import Found
from site_node.imaging.keys import SiteKeys
from site_node.imaging.reading import FULL
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.results.child import readers
from site_node.imaging.results.laying import Mask, on_image
from site_node.imaging.results.source import header_of
from site_node.imaging.sources import Progress
from site_node.imaging.workers import Answer, Job, Pool

BATCH = 32
BYTES = 2
DUPLICATE_BYTES, DUPLICATE_IMAGE, NO_IMAGE = "duplicate_bytes", "duplicate_image", "no_image"


@dataclass(frozen=True)
class Image:
    """One image or volume that can be given to a model.

    Args:
        file: where it lay, or its first slice.
        instances: SOP Instance UID of the image, or of every slice.
        pixels: float32 (frames, C, H, W) or (1, C, D, H, W) in [0, 1], as a curated dataset.
        sources: header values for the result, one an instance.
        lay: brings a mask from the recipe's grid to the stored pixels, (frames, rows, columns).
    """

    file: Found
    instances: tuple[str, ...]
    pixels: NDArray[np.float32] = field(repr=False)
    sources: tuple[dict[str, Any], ...] = field(repr=False)
    lay: Callable[[Mask], Mask] = field(repr=False)


@dataclass(frozen=True)
class LeftOut:
    """One file that is given to no model, and the word for why."""

    file: Found
    word: str
    quarantined: bool


@dataclass(frozen=True)
class Desk:
    """With what files are read.

    Args:
        recipe: the import recipe.
        keys: of this site.
        work: an empty folder of ours.
        jobs: child processes.
        find_text: whether text in pictures is blanked first, as the dataset's import did.
    """

    recipe: ImportRecipe
    keys: SiteKeys
    work: Path
    jobs: int
    find_text: bool = False


def read_images(
    files: Sequence[Found], desk: Desk, progress: Progress
) -> Iterator[list[Image | LeftOut]]:
    """Every file once, in the order of its content hash.

    Raises:
        NotReady: the disk is full, or no child process starts.
    """
    fresh = sorted({file.sha256: file for file in reversed(files)}.values(), key=_hash)
    doubles = sorted(set(files) - set(fresh), key=lambda file: (file.sha256, file.relative))
    yield [LeftOut(file, DUPLICATE_BYTES, quarantined=False) for file in doubles]
    order = Order(TRAINING, desk.recipe.accept_burned_in, desk.find_text)
    crew = readers(desk.recipe, order.line(desk.keys), order.more_seconds)
    known: dict[str, str] = {}
    with Pool(work=desk.work, crew=crew, jobs=jobs_for(order, desk.jobs)) as pool:
        for start in range(0, len(fresh), BATCH):
            batch, answers = fresh[start : start + BATCH], []
            for answer in pool.run(_jobs(batch)):
                answers.append(answer)
                done = start + len(answers)
                progress(f"{done} of {len(fresh)} {order.doing}", done / len(fresh))
            answers.sort(key=lambda answer: answer.job.number)
            yield [_judged(batch[one.job.number], one, desk, known) for one in answers]


def _hash(file: Found) -> str:
    return file.sha256


def _jobs(batch: Sequence[Found]) -> list[Job]:
    return [Job(number, file.path, file.size, file.sha256) for number, file in enumerate(batch)]


def _judged(file: Found, answer: Answer, desk: Desk, known: dict[str, str]) -> Image | LeftOut:
    told = answer.told
    if told.get("skipped") == FULL:
        raise NotReady(
            "the disk is full; what was written before is kept.",
            "Free space, then run the same command again.",
        )
    if "reason" in told or "skipped" in told:
        quarantined = "reason" in told
        return LeftOut(file, str(told["reason" if quarantined else "skipped"]), quarantined)
    if told["facts"]["class"] in SEGMENTATIONS.values():
        return LeftOut(file, NO_IMAGE, quarantined=False)
    instance = str(told["identity"]["instance"])
    if instance in known and known[instance] != told["pixels"]:
        return LeftOut(file, Quarantine.UID_CONFLICT.value, quarantined=True)
    if instance in known:
        return LeftOut(file, DUPLICATE_IMAGE, quarantined=False)
    known[instance] = told["pixels"]
    return Image(
        file=file,
        instances=(instance,),
        pixels=_pixels(answer, desk.recipe),
        sources=(told["source"],),
        lay=functools.partial(_laid, told["source"], desk.recipe),
    )


def _laid(source: dict[str, Any], recipe: ImportRecipe, mask: Mask) -> Mask:
    """A mask (1, rows, columns of the recipe) on the pixels of an image, (1, rows, columns)."""
    shape = int(source["Rows"][0]), int(source["Columns"][0])
    pixel = pixel_size(header_of(source)) or (1.0, 1.0)
    return on_image(mask[0], shape, recipe.fit, pixel)[None]


def _pixels(answer: Answer, recipe: ImportRecipe) -> NDArray[np.float32]:
    frames = len(answer.images) // (prod(recipe.shape) * BYTES)
    stored = np.frombuffer(answer.images, "<u2").reshape(frames, *recipe.shape)
    return stored.astype(np.float32) / TOP
