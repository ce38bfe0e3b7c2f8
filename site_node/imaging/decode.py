"""Stored pixels become one image in [0, 1], in a fixed order of steps, each one on record.

The decoder is chosen here per transfer syntax and never by the library: it is part of the result
(ten lossy JPEG files decode to other pixels with another decoder, measured). MONAI's readers are
not used: they ignore MONOCHROME1, Modality LUT and VOI LUT.

Source: DICOM PS3.3 C.7.6.3 (pixels), C.11.1, C.11.2; design/imaging.md §5.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import UID

from compliance.records.reasons import Quarantine
from site_node.imaging import lut
from site_node.imaging.file_meta import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.resize import fit_image
from site_node.imaging.shape import PixelShape

FloatArray: TypeAlias = NDArray[np.float64]

RLE = "1.2.840.10008.1.2.5"
DECODERS = {
    RLE: "pydicom",
    "1.2.840.10008.1.2.4.50": "gdcm",
    "1.2.840.10008.1.2.4.70": "gdcm",
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.81": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.4.91": "pylibjpeg",
}
"""Which plug-in decodes what is compressed; native pixels are read by pydicom itself."""

NATIVE = (IMPLICIT, EXPLICIT, DEFLATED, BIG_ENDIAN)
LOSSY = frozenset(("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.91"))
GREY = ("MONOCHROME1", "MONOCHROME2")
LUMINANCE = np.array([0.299, 0.587, 0.114])
PALETTE = "PALETTE COLOR"
TOP = 65535
NARROW = 0.02
SIDE_JUDGED = 1024
NEARLY_ALL = 0.99


@dataclass
class Steps:
    """What was done to the pixels of one object, in closed words."""

    decoder: str
    findings: list[str] = field(default_factory=list)

    def note(self, finding: str) -> None:
        """Record a finding once."""
        if finding not in self.findings:
            self.findings.append(finding)


def decoder_of(syntax: str, *, encapsulated: bool) -> str:
    """The plug-in for a transfer syntax.

    Raises:
        Quarantined: no decoder of ours reads it.
    """
    if syntax not in (DECODERS if encapsulated else NATIVE):
        raise Quarantined(Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED)
    return DECODERS.get(syntax, "pydicom")


def stored_frame(pixels: bytes, shape: PixelShape, syntax: str, index: int) -> NDArray[Any]:
    """Decode one frame to its stored values, (H, W) or (H, W, 3), RGB when it was YBR.

    Args:
        pixels: the value of Pixel Data, native or encapsulated.
        shape: what the header says of it, already checked.
        syntax: transfer syntax.
        index: frame number from 0.

    Raises:
        Quarantined: the codec cannot read it, or returned another shape.
    """
    plugin = DECODERS.get(syntax, "")
    try:
        frame, _ = get_decoder(UID(syntax)).as_array(
            pixels, index=index, decoding_plugin=plugin, **shape.options()
        )
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a codec may raise anything over hostile bytes
        raise Quarantined(Quarantine.DECODE_FAILED) from None
    if frame.shape[:2] != (shape.rows, shape.columns):
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    return frame


class Developer:
    """Turns stored frames of one object into images of the recipe.

    Args:
        header: the parsed data set.
        shape: size and type of its pixels.
        little: byte order of the file.
        recipe: what the images must look like.
        steps: where each deed is recorded.
    """

    def __init__(
        self,
        *,
        header: Dataset,
        shape: PixelShape,
        little: bool,
        recipe: ImportRecipe,
        steps: Steps,
    ) -> None:
        self._header, self._shape, self._little = header, shape, little
        self._recipe, self._steps = recipe, steps

    def develop(self, stored: NDArray[Any]) -> NDArray[np.uint16]:
        """Run every step for one frame; the result is (C, H, W), 0 to 65535."""
        if self._shape.photometric in GREY:
            image = self._grey(stored)
            channels = np.repeat(image[None], self._recipe.channels, axis=0)
        else:
            channels = self._colour(stored)
        self._judge(channels)
        pixel = pixel_size(self._header)
        if pixel is None:
            self._steps.note("spacing_missing")
        fitted = fit_image(channels, self._recipe.plane, self._recipe.fit, pixel or (1.0, 1.0))
        return np.rint(fitted * TOP).astype("<u2")

    def _grey(self, stored: NDArray[Any]) -> FloatArray:
        values = stored.astype(np.float64)
        hidden = padded(self._header, stored)
        values, (low, high) = self._modality(values)
        image = self._voi(values, low, high)
        if self._shape.photometric == "MONOCHROME1":
            image = 1 - image
            self._steps.note("monochrome1_inverted")
        if hidden is not None:
            image[hidden] = 0.0
        return image

    def _colour(self, stored: NDArray[Any]) -> FloatArray:
        if self._shape.photometric == PALETTE:
            try:
                stored = apply_color_lut(stored, self._header)
            except Exception:  # noqa: BLE001 - a damaged palette raises many things
                raise Quarantined(Quarantine.LUT_NOT_USABLE) from None
            top = float(np.iinfo(stored.dtype).max)
        else:
            top = float(2**self._shape.stored - 1)
        image = np.moveaxis(np.clip(stored.astype(np.float64) / top, 0, 1), -1, 0)[:3]
        if self._recipe.channels == 1:
            image = np.tensordot(LUMINANCE, image, axes=1)[None]
        return image

    def _modality(self, values: FloatArray) -> tuple[FloatArray, tuple[float, float]]:
        """Apply Modality LUT or rescale; also returns the range that values can have."""
        low, high = self._shape.span()
        items = self._header.get("ModalityLUTSequence")
        if items:
            table = lut.read_table(items[0], signed=self._shape.signed, little=self._little)
            self._steps.note("modality_lut_applied")
            return table.apply(values), (0.0, float(table.top))
        slope, intercept = self._header.get("RescaleSlope"), self._header.get("RescaleIntercept")
        if slope is None and intercept is None and self._header.get("Modality") == "CT":
            self._steps.note("rescale_missing")
        ends = lut.rescale(np.array([low, high]), slope, intercept)
        return lut.rescale(values, slope, intercept), (float(ends.min()), float(ends.max()))

    def _voi(self, values: FloatArray, low: float, high: float) -> FloatArray:
        """Apply VOI LUT, else the first window, else spread the full range; result in [0, 1]."""
        items = self._header.get("VOILUTSequence")
        if items:
            table = lut.read_table(items[0], signed=low < 0, little=self._little)
            self._steps.note("voi_lut_applied")
            return np.clip(table.apply(values) / table.top, 0, 1)
        center, width = (
            first_number(self._header.get(name)) for name in ("WindowCenter", "WindowWidth")
        )
        if center is not None and width is not None:
            function = str(self._header.get("VOILUTFunction") or "LINEAR").strip().upper()
            if width >= 1 or (width > 0 and function != "LINEAR"):
                return lut.window(values, center, width, function)
            self._steps.note("window_unusable")
        return np.clip((values - low) / (high - low), 0, 1)

    def _judge(self, image: FloatArray) -> None:
        step = 1 + max(image.shape) // SIDE_JUDGED
        image = image[:, ::step, ::step]
        first, last = np.percentile(image, (1, 99))
        if last - first < NARROW:
            self._steps.note("low_contrast")
        if np.mean(image <= 0) > NEARLY_ALL:
            self._steps.note("near_empty")


def padded(header: Dataset, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Pixels that are no picture (PS3.3 C.7.5.1.1.2); None when the header names none."""
    value = header.get("PixelPaddingValue")
    if not isinstance(value, int):
        return None
    limit = header.get("PixelPaddingRangeLimit", value)
    limit = limit if isinstance(limit, int) else value
    low, high = min(value, limit), max(value, limit)
    return (stored >= low) & (stored <= high)


def first_number(value: Any) -> float | None:
    """The first number of one or several; None when there is none."""
    if value is None or isinstance(value, str):
        return None
    try:
        values = [float(value)] if not hasattr(value, "__len__") else [float(v) for v in value]
    except (TypeError, ValueError):
        return None
    return values[0] if values and np.isfinite(values[0]) else None


def pixel_size(header: Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel in mm, or None when the header does not say."""
    for name in ("PixelSpacing", "ImagerPixelSpacing"):
        value = header.get(name)
        try:
            down, across = (float(side) for side in value)
        except (TypeError, ValueError):
            continue
        if all(np.isfinite(side) and 0.001 <= side <= 100 for side in (down, across)):  # noqa: PLR2004 - mm
            return (down, across) if 0.1 <= down / across <= 10 else None  # noqa: PLR2004 - ratio
    return None
