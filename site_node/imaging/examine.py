"""From the bytes of one file to images and facts; runs in a child process only.

Order: structure, identity, class, pixels' numbers, codestream, de-identification, decoder, steps to
the image. The first step that says no decides the reason. Facts are read from the de-identified
header. What is returned holds the identifying values by which the parent makes pseudonyms and finds
labels; they pass through a pipe and are never written anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import (
    LOSSY,
    RLE,
    Developer,
    Steps,
    decoder_of,
    stored_frame,
)
from site_node.imaging.deid.deidentify import Clean
from site_node.imaging.deid.read_pixels import BLIND, Film, Sight
from site_node.imaging.deid.told import Actions
from site_node.imaging.facts import CLASSES, OFTEN_WRITTEN_ON, SEGMENTATIONS, SOLID, facts_of
from site_node.imaging.header import PLACED_BY, parse, view_of
from site_node.imaging.identity import Identity, identity_of, text_of
from site_node.imaging.memo import Memo
from site_node.imaging.outcomes import Quarantined, hostile_bytes
from site_node.imaging.placed import SEGMENTATION, place_of_image, placed, plain_bytes
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.scan import Outline, scan
from site_node.imaging.shape import PixelShape, check_encapsulated, check_native, read_shape

Images: TypeAlias = list[NDArray[np.uint16]]

PER_ELEMENT = 4096
"""One element of a header costs as much time as so many bytes of pixels (0.1 ms, measured)."""


@dataclass
class Examined:
    """An image that was read."""

    identity: Identity
    facts: dict[str, str]
    findings: list[str]
    actions: Actions
    pixels: str
    images: Images = field(default_factory=list)
    place: dict[str, Any] | None = None


def examine(
    data: memoryview | bytes,
    recipe: ImportRecipe,
    clean: Clean,
    seen: Memo[DataElement] | None = None,
    sight: Sight = BLIND,
    allow: Callable[[int], None] = lambda _: None,
) -> Examined:
    """Read one file.

    Args:
        data: the bytes of the file.
        recipe: what its image must look like.
        clean: de-identifies its header.
        seen: remembers values that slices of a series share.
        sight: reads the frames that are kept; what is written there is blanked before anything
            else is done with them.
        allow: told how much work a slice or mask will be, in bytes, before it begins.

    Raises:
        Quarantined: with the reason.
        Skipped: a DICOMDIR, or a scout that is no part of a volume.
    """
    outline = scan(data)
    original = parse(outline)
    seen = seen or Memo(0)
    header = view_of(original, seen)
    identity = identity_of(header)
    kind = kind_of(header, recipe)
    solid = recipe.solid or kind == SEGMENTATION
    sop_class, burned = text_of(header, "SOPClassUID"), text_of(header, "BurnedInAnnotation")
    seeing = not solid and sight.sees(sop_class, burned)
    if not seeing:
        _check_burned_in(header, kind, recipe)
    shape, steps = check_pixels(outline, header)
    if solid:
        allow(work_in(outline, shape))
    copy, actions = _cleaned(original, identity, clean)
    facts, missing = facts_of(copy, kind)
    facts |= {"decoder": steps.decoder, "syntax": outline.syntax}
    found = Examined(identity, facts, missing, actions, "")
    if solid:
        with hostile_bytes():
            header.update(view_of(original, seen, PLACED_BY))
            found.place, found.pixels = placed(outline, header, shape, steps, recipe)
    else:
        film = _film(outline, shape, header, recipe)
        if seeing:
            film = _blanked(film, sight, actions, steps)
        found.images, found.pixels = _images(film, _developer(outline, film, recipe, steps))
        found.place = place_of_image(header, shape, recipe) if recipe.segments else None
    found.findings = sorted({*steps.findings, *missing})
    return found


def _developer(outline: Outline, film: Film, recipe: ImportRecipe, steps: Steps) -> Developer:
    return Developer(
        header=film.header, shape=film.shape, little=outline.little, recipe=recipe, steps=steps
    )


def work_in(outline: Outline, shape: PixelShape) -> int:
    """How much there is to do in an object with many frames: bytes of pixels, and their headers."""
    return shape.frames * shape.frame_bits() // 8 + outline.elements * PER_ELEMENT


def kind_of(header: Dataset, recipe: ImportRecipe) -> str:
    """The word of an object's class, if the recipe reads it.

    Raises:
        Quarantined: it does not.
    """
    listed = (SOLID if recipe.solid else CLASSES) | (SEGMENTATIONS if recipe.segments else {})
    kind = listed.get(text_of(header, "SOPClassUID"))
    if recipe.intensity == "hu" and kind not in (None, SEGMENTATION) and not kind.startswith("ct"):
        kind = None
    if kind is None:
        raise Quarantined(Quarantine.CLASS_NOT_SUPPORTED)
    return kind


def _cleaned(original: Dataset, identity: Identity, clean: Clean) -> tuple[Dataset, Actions]:
    """The header as it may stay: everything that is kept of an object is taken from this."""
    with hostile_bytes():
        return clean(original, identity)


def _check_burned_in(header: Dataset, kind: str, recipe: ImportRecipe) -> None:
    """No tag proves that no name is drawn into the picture; some say that one may be."""
    told = text_of(header, "BurnedInAnnotation").upper()
    suspect = told != "NO" and kind.split("-")[0] in OFTEN_WRITTEN_ON
    if (told == "YES" or suspect) and not recipe.accept_burned_in:
        raise Quarantined(Quarantine.BURNED_IN_TEXT)


def check_pixels(outline: Outline, header: Dataset) -> tuple[PixelShape, Steps]:
    """Read size and type of the pixels, and whether the bytes can be that.

    Raises:
        Quarantined: they cannot, or no decoder of ours reads them.
    """
    if outline.pixels is None or outline.pixels[1] == 0:
        raise Quarantined(Quarantine.PIXELS_MISSING)
    steps = Steps(decoder_of(outline.syntax, encapsulated=outline.encapsulated))
    shape = read_shape(header, _kind(outline), little=outline.little)
    if outline.encapsulated:
        check_encapsulated(outline, shape, rle=outline.syntax == RLE)
    elif check_native(outline, shape):
        steps.note("pixels_padded")
    if outline.syntax in LOSSY:
        steps.note("lossy_pixels")
    return shape, steps


def _kind(outline: Outline) -> str:
    """Type letters of Pixel Data; implicit files mean OW."""
    if outline.implicit:
        return "OW"
    return bytes(outline.data[outline.header + 4 : outline.header + 6]).decode("ascii", "replace")


def _film(outline: Outline, shape: PixelShape, header: Dataset, recipe: ImportRecipe) -> Film:
    """The frames that are kept: so many as the recipe says, at equal steps."""
    offset, length = outline.pixels or (0, 0)
    if not outline.encapsulated:
        needed = (shape.frame_bits() * shape.frames + 7) // 8
        length = min(length, needed + needed % 2)
    pixels = bytes(outline.data[offset : offset + length])
    count = min(recipe.frames_per_object, shape.frames)

    def stored(step: int) -> NDArray[Any]:
        return stored_frame(pixels, shape, outline.syntax, step * shape.frames // count)

    return Film(replace(shape, frames=count), stored, header)


def _blanked(film: Film, sight: Sight, actions: Actions, steps: Steps) -> Film:
    """Read the frames, and let everybody after this see them blanked."""
    boxes = sight.boxes(film)
    actions.note_pixels(frames=film.shape.frames, blanked=len(boxes))
    if boxes:
        steps.note("text_blanked")
    return replace(film, stored=lambda step: film.blanked(film.stored(step), boxes))


def _images(film: Film, developer: Developer) -> tuple[Images, str]:
    """Develop the frames; also hash what they hold, whatever its encoding was."""
    digest, images = hashlib.sha256(), []
    for step in range(film.shape.frames):
        stored = film.stored(step)
        digest.update(plain_bytes(stored))
        images.append(developer.develop(stored))
    return images, digest.hexdigest()
