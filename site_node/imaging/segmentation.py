"""A DICOM Segmentation, read frame by frame; runs in a child process only.

Own code, no library: a frame at a time, the wanted segments only, nothing of the header but
numbers, class numbers and references. Written for BINARY and FRACTIONAL (0.5 and more is inside).

Source: DICOM PS3.3 C.8.20 (segmentation), C.7.6.16.2.12-13 (derivation image, segment
identification), PS3.5 §8.1.1 (bits of a binary frame).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import first_number, stored_frame
from site_node.imaging.geometry import Macro, macros_of, planes_of
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.planes import Plane
from site_node.imaging.recipe import Segment
from site_node.imaging.scan import Outline
from site_node.imaging.shape import PixelShape

Mask: TypeAlias = NDArray[np.uint8]

CLASS = "1.2.840.10008.5.1.4.1.1.66.4"
BINARY, FRACTIONAL = "BINARY", "FRACTIONAL"
HALF = 0.5
BITS = 8
MOST_REFERENCES = 100_000


@dataclass(frozen=True)
class Piece:
    """One frame of one wanted segment.

    Args:
        number: of the frame, from 0.
        kind: class from 1, in the order of the recipe.
        plane: where it lies; None when it does not say.
        images: SOP Instance UIDs it was drawn on.
        frames: frame numbers of those from 1; empty means the whole image.
        step: mm from slice to slice, if it says so.
    """

    number: int
    kind: int
    plane: Plane | None
    images: tuple[str, ...]
    frames: tuple[int, ...] = ()
    step: float | None = None

    def plain(self) -> dict[str, Any]:
        """The same for JSON."""
        place = self.plane.plain() if self.plane else None
        return {
            "number": self.number, "kind": self.kind, "plane": place,
            "images": list(self.images), "frames": list(self.frames), "step": self.step,
        }  # fmt: skip

    @classmethod
    def of(cls, told: dict[str, Any]) -> Piece:
        """Read what `plain` wrote."""
        return cls(
            told["number"],
            told["kind"],
            Plane.of(told["plane"]) if told["plane"] else None,
            tuple(told["images"]),
            tuple(told["frames"]),
            told["step"],
        )


@dataclass(frozen=True)
class Segmented:
    """What a segmentation says, without its pixels.

    `classes` are the wanted ones that were looked for, whether or not a voxel has them.
    """

    classes: tuple[int, ...]
    images: tuple[str, ...]
    space: str
    pieces: tuple[Piece, ...]


def read_segmentation(header: Dataset, shape: PixelShape, segments: Sequence[Segment]) -> Segmented:
    """Read which frame holds which wanted segment, and on which images.

    Args:
        header: the parsed data set.
        shape: size and type of its pixels.
        segments: the wanted ones, in the order of their classes.

    Raises:
        Quarantined: a number or a group is missing, or the type is no mask.
    """
    _check(header, shape)
    kinds = _kinds(header, segments)
    macros = macros_of(header, shape.frames)
    planes = _planes(header, shape)
    pieces = [
        _piece(number, kind, macro, planes)
        for number, macro in enumerate(macros)
        if (kind := kinds.get(_segment_number(macro), 0))
    ]
    images = {uid for piece in pieces for uid in piece.images} | set(_listed(header))
    if len(images) > MOST_REFERENCES:
        raise Quarantined(Quarantine.TOO_MANY_ELEMENTS)
    return Segmented(
        classes=tuple(sorted({kind for kind in kinds.values() if kind})),
        images=tuple(sorted(images)),
        space=str(header.get("FrameOfReferenceUID") or "").strip(),
        pieces=tuple(pieces),
    )


def masks_of(
    outline: Outline, header: Dataset, shape: PixelShape, pieces: Sequence[Piece]
) -> Iterator[Mask]:
    """The pixels of each piece, (rows, columns), 0 or 1, one after the other."""
    offset, length = outline.pixels or (0, 0)
    top = first_number(header.get("MaximumFractionalValue")) or 255.0
    pixels = bytes(outline.data[offset : offset + length]) if outline.encapsulated else b""
    for piece in pieces:
        if shape.allocated == 1 and not outline.encapsulated:
            yield _bits(outline, shape, piece.number)
        elif outline.encapsulated:
            stored = stored_frame(pixels, shape, outline.syntax, piece.number)
            yield (stored >= HALF * (1 if shape.allocated == 1 else top)).astype(np.uint8)
        else:
            size = shape.rows * shape.columns
            start = offset + piece.number * size
            stored = np.frombuffer(bytes(outline.data[start : start + size]), np.uint8)
            yield (stored >= HALF * top).astype(np.uint8).reshape(shape.rows, shape.columns)


def _bits(outline: Outline, shape: PixelShape, number: int) -> Mask:
    """A frame of single bits; it may begin in the middle of a byte."""
    offset, _ = outline.pixels or (0, 0)
    size = shape.rows * shape.columns
    first = number * size
    start, end = first // BITS, (first + size + BITS - 1) // BITS
    packed = np.frombuffer(bytes(outline.data[offset + start : offset + end]), np.uint8)
    bits = np.unpackbits(packed, bitorder="little")[first % BITS : first % BITS + size]
    return bits.reshape(shape.rows, shape.columns)


def _check(header: Dataset, shape: PixelShape) -> None:
    kind = str(header.get("SegmentationType") or "").strip()
    allocated = {BINARY: 1, FRACTIONAL: BITS}.get(kind)
    if shape.allocated != allocated or shape.samples != 1:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    if shape.allocated == 1 and not shape.little and shape.kind == "OW":
        raise Quarantined(Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED)


def _kinds(header: Dataset, segments: Sequence[Segment]) -> dict[int, int]:
    """Class of each segment number; 0 for a segment that is not wanted."""
    found: dict[int, int] = {}
    for item in header.get("SegmentSequence") or []:
        number = first_number(item.get("SegmentNumber"))
        if number is None or int(number) in found:
            raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
        found[int(number)] = _kind(item, segments)
    return found


def _kind(item: Dataset, segments: Sequence[Segment]) -> int:
    label = str(item.get("SegmentLabel") or "").strip()
    types = item.get("SegmentedPropertyTypeCodeSequence") or [Dataset()]
    scheme = str(types[0].get("CodingSchemeDesignator") or "").strip()
    code = f"{scheme}:{str(types[0].get('CodeValue') or '').strip()}"
    for number, wanted in enumerate(segments, start=1):
        if wanted.code == code or (wanted.label is not None and wanted.label == label):
            return number
    return 0


def _segment_number(macro: Macro) -> int:
    number = first_number(
        macro.first("SegmentIdentificationSequence").get("ReferencedSegmentNumber")
    )
    if number is None:
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    return int(number)


def _planes(header: Dataset, shape: PixelShape) -> list[Plane] | None:
    """Planes of all frames; a mask on a radiograph has none."""
    try:
        return planes_of(header, shape.frames)
    except Quarantined:
        return None


def _piece(number: int, kind: int, macro: Macro, planes: list[Plane] | None) -> Piece:
    images, frames = [], []
    for derived in macro.all("DerivationImageSequence"):
        for source in derived.get("SourceImageSequence") or []:
            images.append(str(source.get("ReferencedSOPInstanceUID") or "").strip())
            said = first_number(source.get("ReferencedFrameNumber"))
            frames += [] if said is None else [int(said)]
    step = first_number(macro.first("PixelMeasuresSequence").get("SpacingBetweenSlices"))
    return Piece(
        number,
        kind,
        planes[number] if planes else None,
        tuple(dict.fromkeys(uid for uid in images if uid)),
        tuple(frames),
        step if step and step > 0 else None,
    )


def _listed(header: Dataset) -> Iterator[str]:
    """Instances of the list at the top of the data set."""
    for series in header.get("ReferencedSeriesSequence") or []:
        for item in series.get("ReferencedInstanceSequence") or []:
            uid = str(item.get("ReferencedSOPInstanceUID") or "").strip()
            if uid:
                yield uid
