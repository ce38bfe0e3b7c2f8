"""Objects that have a place: slices of volumes and segmentations; runs in a child process only.

The first look decodes every frame, so that a damaged one is found by itself, and keeps no pixel:
which frames belong together is known only when all are there. The second look (`frames`) is for the
pixels.
"""

from __future__ import annotations

import hashlib
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from site_node.imaging.decode import Steps, pixel_size
from site_node.imaging.geometry import planes_of
from site_node.imaging.identity import text_of
from site_node.imaging.outcomes import Skipped
from site_node.imaging.physical import Physician, stored_frames
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.scan import Outline
from site_node.imaging.segmentation import CLASS, masks_of, read_segmentation
from site_node.imaging.series import is_localizer
from site_node.imaging.shape import PixelShape

SEGMENTATION = "seg"
LOCALIZER = "localizer_left_out"
WORD = 2


def placed(
    outline: Outline, header: Dataset, shape: PixelShape, steps: Steps, recipe: ImportRecipe
) -> tuple[dict[str, Any], str]:
    """Where an object lies, with the UIDs that the parent will key, and the hash of its pixels.

    Raises:
        Quarantined: with the reason.
        Skipped: a scout.
    """
    if text_of(header, "SOPClassUID") == CLASS:
        return _segmentation(outline, header, shape, recipe)
    planes = planes_of(header, shape.frames)
    if all(is_localizer(plane) for plane in planes):
        raise Skipped(LOCALIZER)
    physician = Physician(header, shape, recipe, steps, outline.little)
    digest = hashlib.sha256()
    for number, stored in enumerate(stored_frames(outline, shape)):
        physician.values(stored, number)
        digest.update(plain_bytes(stored))
    space = text_of(header, "FrameOfReferenceUID")
    place = {"space": space, "planes": [plane.plain() for plane in planes]}
    return place, digest.hexdigest()


def _segmentation(
    outline: Outline, header: Dataset, shape: PixelShape, recipe: ImportRecipe
) -> tuple[dict[str, Any], str]:
    told = read_segmentation(header, shape, recipe.segments)
    digest = hashlib.sha256(json.dumps([piece.plain() for piece in told.pieces]).encode())
    for mask in masks_of(outline, header, shape, told.pieces):
        digest.update(np.packbits(mask).tobytes())
    place = {"space": told.space, "images": list(told.images), "classes": list(told.classes)}
    return place, digest.hexdigest()


def place_of_image(header: Dataset, shape: PixelShape, recipe: ImportRecipe) -> dict[str, Any]:
    """What a mask needs to know of an image without a place: size, pixel, which frames are kept."""
    count = min(recipe.frames_per_object, shape.frames)
    return {
        "space": "",
        "rows": shape.rows,
        "columns": shape.columns,
        "pixel": pixel_size(header),
        "frames": [step * shape.frames // count for step in range(count)],
    }


def plain_bytes(stored: NDArray[Any]) -> bytes:
    """One byte form for equal values: shape, then 32 or 64 bits little endian."""
    wide = "<i4" if stored.dtype.itemsize <= WORD else "<i8"
    return struct.pack(f"<{stored.ndim}I", *stored.shape) + stored.astype(wide).tobytes()
