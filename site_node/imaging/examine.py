"""From the bytes of one file to images and facts; runs in a child process only.

Order: structure, identity, class, pixels' numbers, codestream, decoder, steps to the image. The
first step that says no decides the reason. What is returned holds the identifying values by which
the parent makes pseudonyms; they pass through a pipe and are never written anywhere.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import (
    LOSSY,
    RLE,
    Developer,
    Steps,
    decoder_of,
    stored_frame,
)
from site_node.imaging.facts import CLASSES, OFTEN_WRITTEN_ON, facts_of
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.scan import Outline, scan
from site_node.imaging.shape import PixelShape, check_encapsulated, check_native, read_shape

Images: TypeAlias = list[NDArray[np.uint16]]

UID_FORM = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*", re.ASCII)
MOST_UID = 64
MOST_VALUE = 256
WORD = 2

READ = tuple(
    Tag(name)
    for name in (
        "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
        "SeriesInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber", "Modality",
        "BodyPartExamined", "PatientSex", "PatientAge", "PatientBirthDate", "StudyDate",
        "BurnedInAnnotation", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored",
        "PixelRepresentation", "NumberOfFrames", "PhotometricInterpretation",
        "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelSpacing",
        "ImagerPixelSpacing", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
        "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
        "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
        "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedBluePaletteColorLookupTableData",
    )
)  # fmt: skip
"""The only elements that are ever read; the rest of a header is stepped over."""


@dataclass(frozen=True)
class Identity:
    """The identifying values of one object, on their way to become keyed; never stored."""

    patient: str
    issuer: str
    study: str
    series: str
    instance: str
    accession: str


@dataclass
class Examined:
    """An image that was read."""

    identity: Identity
    facts: dict[str, str]
    findings: list[str]
    pixels: str
    images: Images = field(default_factory=list)


def examine(data: memoryview | bytes, recipe: ImportRecipe) -> Examined:
    """Read one file.

    Raises:
        Quarantined: with the reason.
        Skipped: a DICOMDIR.
    """
    outline = scan(data)
    header = parse(outline)
    identity = identity_of(header)
    kind = CLASSES.get(_text(header, "SOPClassUID"))
    if kind is None:
        raise Quarantined(Quarantine.CLASS_NOT_SUPPORTED)
    _check_burned_in(header, kind, recipe)
    shape, steps = _check_pixels(outline, header)
    facts, missing = facts_of(header, kind)
    facts |= {"decoder": steps.decoder, "syntax": outline.syntax}
    developer = Developer(
        header=header, shape=shape, little=outline.little, recipe=recipe, steps=steps
    )
    images, pixels = _images(outline, shape, developer, recipe)
    return Examined(identity, facts, sorted({*steps.findings, *missing}), pixels, images)


def parse(outline: Outline) -> Dataset:
    """Read the listed elements of a header whose structure holds.

    Raises:
        Quarantined: a value cannot be read as its type.
    """
    raw = BytesIO(bytes(outline.data[outline.start : outline.header]))
    try:
        header: Dataset = read_dataset(
            raw, outline.implicit, outline.little, specific_tags=list(READ), at_top_level=True
        )
        for element in header:
            del element
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        raise Quarantined(Quarantine.MALFORMED) from None
    return header


def identity_of(header: Dataset) -> Identity:
    """Take the identifying values.

    Raises:
        Quarantined: the patient or a unique identifier is missing or no UID.
    """
    found = Identity(
        patient=_text(header, "PatientID"),
        issuer=_text(header, "IssuerOfPatientID"),
        study=_text(header, "StudyInstanceUID"),
        series=_text(header, "SeriesInstanceUID"),
        instance=_text(header, "SOPInstanceUID"),
        accession=_text(header, "AccessionNumber"),
    )
    uids = (found.study, found.series, found.instance)
    if not found.patient or not all(uids):
        raise Quarantined(Quarantine.MISSING_IDENTITY)
    if not all(len(uid) <= MOST_UID and UID_FORM.fullmatch(uid) for uid in uids):
        raise Quarantined(Quarantine.BAD_UID)
    return found


def _text(header: Dataset, name: str) -> str:
    value = str(header.get(name) or "").strip().strip("\0")
    if len(value) > MOST_VALUE:
        raise Quarantined(Quarantine.MALFORMED)
    return value


def _check_burned_in(header: Dataset, kind: str, recipe: ImportRecipe) -> None:
    """No tag proves that no name is drawn into the picture; some say that one may be."""
    told = _text(header, "BurnedInAnnotation").upper()
    suspect = told != "NO" and kind.split("-")[0] in OFTEN_WRITTEN_ON
    if (told == "YES" or suspect) and not recipe.accept_burned_in:
        raise Quarantined(Quarantine.BURNED_IN_TEXT)


def _check_pixels(outline: Outline, header: Dataset) -> tuple[PixelShape, Steps]:
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


def _images(
    outline: Outline, shape: PixelShape, developer: Developer, recipe: ImportRecipe
) -> tuple[Images, str]:
    """Develop frames at equal steps; also hash what was stored, whatever its encoding was."""
    offset, length = outline.pixels or (0, 0)
    if not outline.encapsulated:
        needed = (shape.frame_bits() * shape.frames + 7) // 8
        length = min(length, needed + needed % 2)
    pixels = bytes(outline.data[offset : offset + length])
    count = min(recipe.frames_per_object, shape.frames)
    digest, images = hashlib.sha256(), []
    for step in range(count):
        stored = stored_frame(pixels, shape, outline.syntax, step * shape.frames // count)
        digest.update(_plain(stored))
        images.append(developer.develop(stored))
    return images, digest.hexdigest()


def _plain(stored: NDArray[Any]) -> bytes:
    """One byte form for equal values: shape, then 32 or 64 bits little endian."""
    wide = "<i4" if stored.dtype.itemsize <= WORD else "<i8"
    return struct.pack(f"<{stored.ndim}I", *stored.shape) + stored.astype(wide).tobytes()
