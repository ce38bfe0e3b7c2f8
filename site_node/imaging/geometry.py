"""Planes of the frames of an object, from its header; runs in a child process only.

Classic objects say it once, enhanced ones in functional groups, shared or per frame.

Source: DICOM PS3.3 C.7.6.2, C.7.6.16.2.1-4 (pixel measures, plane position and orientation).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import first_number, pixel_size
from site_node.imaging.deid.words import code_strings
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.planes import Plane, Vector

FRAME_TYPES = (
    "CTImageFrameTypeSequence",
    "MRImageFrameTypeSequence",
    "PETFrameTypeSequence",
)
FARTHEST = 1e5
UNIT, SQUARE = 1e-3, 1e-2
OTHER = "OTHER"


class Macro:
    """The functional groups of one frame: what it says itself counts before what all share."""

    def __init__(self, own: Dataset, shared: Dataset) -> None:
        self._groups = own, shared

    def all(self, name: str) -> Sequence[Dataset]:
        """Every item of a group; none when the group is nowhere."""
        for group in self._groups:
            items: Sequence[Dataset] | None = group.get(name)
            if items:
                return items
        return ()

    def first(self, name: str) -> Dataset:
        """The first item of a group; empty when the group is nowhere."""
        items = self.all(name)
        return items[0] if items else Dataset()


def planes_of(header: Dataset, frames: int) -> list[Plane]:
    """The plane of every frame.

    Args:
        header: the parsed data set.
        frames: how many there are.

    Raises:
        Quarantined: a number is missing or impossible, or groups and frames differ in number.
    """
    if not header.get("PerFrameFunctionalGroupsSequence"):
        if frames != 1:
            raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
        return [_classic(header)]
    return [_enhanced(header, macro) for macro in macros_of(header, frames)]


def macros_of(header: Dataset, frames: int) -> list[Macro]:
    """The functional groups of every frame.

    Raises:
        Quarantined: there are more or fewer than frames.
    """
    shared = header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    groups = header.get("PerFrameFunctionalGroupsSequence") or []
    if len(groups) != frames:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    return [Macro(group, shared[0]) for group in groups]


def _classic(header: Dataset) -> Plane:
    numbers = ("EchoNumbers", "DiffusionBValue", "TemporalPositionIdentifier")
    return _plane(
        header,
        position=header.get("ImagePositionPatient"),
        orientation=header.get("ImageOrientationPatient"),
        measures=header,
        words=header.get("ImageType"),
        numbers=[header.get(name) for name in numbers],
        acquisition=header.get("AcquisitionNumber"),
    )


def _enhanced(header: Dataset, macro: Macro) -> Plane:
    content = macro.first("FrameContentSequence")
    kinds = [macro.first(name).get("FrameType") for name in FRAME_TYPES]
    return _plane(
        header,
        position=macro.first("PlanePositionSequence").get("ImagePositionPatient"),
        orientation=macro.first("PlaneOrientationSequence").get("ImageOrientationPatient"),
        measures=macro.first("PixelMeasuresSequence"),
        words=next((kind for kind in kinds if kind), header.get("ImageType")),
        numbers=[
            macro.first("MREchoSequence").get("EffectiveEchoTime"),
            macro.first("MRDiffusionSequence").get("DiffusionBValue"),
            content.get("TemporalPositionIndex"),
        ],
        acquisition=content.get("FrameAcquisitionNumber"),
    )


def _plane(
    header: Dataset,
    *,
    position: Any,
    orientation: Any,
    measures: Dataset,
    words: Any,
    numbers: Sequence[Any],
    acquisition: Any,
) -> Plane:
    spacing = pixel_size(measures)
    if spacing is None:
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    number = first_number(acquisition)
    return Plane(
        position=_vector(position, 3, FARTHEST),
        orientation=_directions(_vector(orientation, 6, 2.0)),
        rows=int(header.Rows),
        columns=int(header.Columns),
        spacing=spacing,
        words=_words(words),
        numbers=tuple(first_number(value) for value in numbers),
        acquisition=None if number is None else int(number),
    )


def _vector(value: Any, count: int, most: float) -> Vector:
    try:
        found = tuple(float(one) for one in value)
    except (TypeError, ValueError):
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE) from None
    if len(found) != count or not all(np.isfinite(one) and abs(one) <= most for one in found):
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    return found


def _directions(cosines: Vector) -> Vector:
    """Two directions of length 1 at right angles; rounding errors are evened out."""
    pair = np.reshape(cosines, (2, 3))
    lengths = np.linalg.norm(pair, axis=1)
    if np.any(np.abs(lengths - 1) > UNIT) or abs(float(pair[0] @ pair[1])) > SQUARE:
        raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
    return tuple(float(one) for one in (pair / lengths[:, None]).ravel())


def _words(kinds: Any) -> tuple[str, ...]:
    """Third and fourth value of Image Type; what is on no closed list is `OTHER`."""
    listed = [kinds] if isinstance(kinds, str) else list(kinds or ())
    known = code_strings()
    return tuple(str(word) if str(word) in known else OTHER for word in listed[2:4])
