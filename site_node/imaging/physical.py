"""Stored values become physical ones: Hounsfield units for CT, what the header says for others.

Source: DICOM PS3.3 C.11.1 (Modality LUT), C.7.5.1.1.2 (padding), C.7.6.16.2.9 (per frame).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging import lut
from site_node.imaging.decode import Steps, padded, stored_frame
from site_node.imaging.geometry import Macro, macros_of
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.scan import Outline
from site_node.imaging.shape import PixelShape

FloatArray: TypeAlias = NDArray[np.float64]

INVERTED = "MONOCHROME1"
GREY = ("MONOCHROME1", "MONOCHROME2")
BITS_PER_BYTE = 8


@dataclass(frozen=True)
class Physician:
    """Turns the stored frames of one object into physical values.

    Args:
        header: the parsed data set.
        shape: size and type of its pixels.
        recipe: `hu` limits values to its range, `relative` leaves them.
        steps: where each deed is recorded.
        little: byte order of the file.
    """

    header: Dataset
    shape: PixelShape
    recipe: ImportRecipe
    steps: Steps
    little: bool = True

    def values(self, stored: NDArray[Any], number: int) -> NDArray[np.float32]:
        """One frame, (rows, columns), float32; padding becomes the smallest value.

        Raises:
            Quarantined: colour, or no rescale where Hounsfield units are wanted.
        """
        if self.shape.photometric not in GREY or self.shape.samples != 1:
            raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
        hidden = padded(self.header, stored)
        values = self._rescaled(stored.astype(np.float64), number)
        if self.recipe.intensity == "hu":
            low, high = self.recipe.hu_range
            values = np.clip(values, low, high)
        elif self.shape.photometric == INVERTED:
            values = -values
            self.steps.note("monochrome1_inverted")
        if hidden is not None and hidden.any():
            values[hidden] = self._least(values, hidden)
        return values.astype("<f4")

    def _least(self, values: FloatArray, hidden: NDArray[np.bool_]) -> float:
        if self.recipe.intensity == "hu":
            return float(self.recipe.hu_range[0])
        return float(values[~hidden].min()) if not hidden.all() else 0.0

    def _rescaled(self, values: FloatArray, number: int) -> FloatArray:
        items = self.header.get("ModalityLUTSequence")
        if items:
            table = lut.read_table(items[0], signed=self.shape.signed, little=self.little)
            self.steps.note("modality_lut_applied")
            return table.apply(values)
        said = self._transform(number)
        if said.get("RescaleSlope") is None and said.get("RescaleIntercept") is None:
            self._missing()
        return lut.rescale(values, said.get("RescaleSlope"), said.get("RescaleIntercept"))

    def _transform(self, number: int) -> Mapping[str, Any] | Dataset:
        if not self.header.get("PerFrameFunctionalGroupsSequence"):
            return self.header
        return self._macros[number].first("PixelValueTransformationSequence")

    @cached_property
    def _macros(self) -> list[Macro]:
        return macros_of(self.header, self.shape.frames)

    def _missing(self) -> None:
        if self.recipe.intensity == "hu":
            raise Quarantined(Quarantine.NUMBER_NOT_USABLE)
        if str(self.header.get("Modality") or "").strip() == "CT":
            self.steps.note("rescale_missing")


def stored_frames(outline: Outline, shape: PixelShape) -> Iterator[NDArray[Any]]:
    """Decode frame by frame; of native pixels only one frame is copied at a time."""
    offset, length = outline.pixels or (0, 0)
    each = shape.frame_bits()
    if outline.encapsulated or each % BITS_PER_BYTE:
        pixels = bytes(outline.data[offset : offset + length])
        for number in range(shape.frames):
            yield stored_frame(pixels, shape, outline.syntax, number)
        return
    single, size = shape.alone(), each // BITS_PER_BYTE
    for number in range(shape.frames):
        start = offset + number * size
        piece = bytes(outline.data[start : start + size])
        yield stored_frame(piece + b"\0" * (size % 2), single, outline.syntax, 0)
