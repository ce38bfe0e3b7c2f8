"""What a header says of its pixels, and whether the bytes can be that, before a codec sees them.

Source: DICOM PS3.3 C.7.6.3.1 (Image Pixel), PS3.5 §8; limits of design/imaging.md §4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from compliance.records.reasons import Quarantine
from site_node.imaging.codestream import claimed_size
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.scan import Outline

MOST_SIDE = 32_768
MOST_FRAME = 256 << 20
MOST_OBJECT = 8 << 30
MOST_FRAMES = 100_000
BYTE = 8
BITS = (1, 8, 16, 32)
PHOTOMETRIC = frozenset(
    (
        "MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422",
        "YBR_RCT", "YBR_ICT",
    )
)  # fmt: skip
RLE_GAIN = 64
RLE_HEADER = 64
START = 65_536


@dataclass(frozen=True)
class PixelShape:
    """Size and type of the pixels of one object."""

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    frames: int
    photometric: str
    planar: int
    kind: str
    little: bool = True

    def frame_bits(self) -> int:
        """Bits of one native frame; YBR_FULL_422 stores two thirds."""
        bits = self.rows * self.columns * self.samples * self.allocated
        return bits * 2 // 3 if self.photometric == "YBR_FULL_422" else bits

    def alone(self) -> PixelShape:
        """The same for a single frame."""
        return replace(self, frames=1)

    def span(self) -> tuple[float, float]:
        """The smallest and largest value that can be stored."""
        if self.signed:
            return -float(2 ** (self.stored - 1)), float(2 ** (self.stored - 1) - 1)
        return 0.0, float(2**self.stored - 1)

    def options(self) -> dict[str, Any]:
        """The same in the words of the decoding library."""
        told: dict[str, Any] = {
            "rows": self.rows,
            "columns": self.columns,
            "samples_per_pixel": self.samples,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "number_of_frames": self.frames,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.photometric,
            "pixel_keyword": "PixelData",
            "pixel_vr": self.kind,
        }
        if self.samples > 1:
            told["planar_configuration"] = self.planar
        if not self.little and self.kind == "OW" and self.allocated == BYTE:
            told["be_swap_ow"] = True
        return told


def read_shape(header: Any, kind: str, *, little: bool = True) -> PixelShape:
    """Read and check the numbers.

    Args:
        header: the parsed data set.
        kind: type letters of Pixel Data, OB or OW.
        little: byte order of the file.

    Raises:
        Quarantined: a number is missing or impossible.
    """
    allocated = _whole(header, "BitsAllocated", None)
    shape = PixelShape(
        rows=_whole(header, "Rows", None),
        columns=_whole(header, "Columns", None),
        samples=_whole(header, "SamplesPerPixel", 1),
        allocated=allocated,
        stored=_whole(header, "BitsStored", allocated),
        signed=_whole(header, "PixelRepresentation", 0) == 1,
        frames=_whole(header, "NumberOfFrames", 1) or 1,
        photometric=str(header.get("PhotometricInterpretation") or "").strip().upper(),
        planar=_whole(header, "PlanarConfiguration", 0),
        kind=kind if kind in ("OB", "OW") else "OW",
        little=little,
    )
    _check(shape)
    return shape


def _check(shape: PixelShape) -> None:
    colour = shape.photometric not in ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
    sound = (
        1 <= shape.rows <= MOST_SIDE
        and 1 <= shape.columns <= MOST_SIDE
        and 1 <= shape.frames <= MOST_FRAMES
        and shape.samples == (3 if colour else 1)
        and shape.allocated in BITS
        and 1 <= shape.stored <= shape.allocated
        and shape.planar in (0, 1)
        and shape.photometric in PHOTOMETRIC
    )
    if not sound:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    decoded = shape.rows * shape.columns * shape.samples * max(shape.allocated // 8, 1)
    if decoded > MOST_FRAME or decoded * shape.frames > MOST_OBJECT:
        raise Quarantined(Quarantine.TOO_LARGE)


def check_native(outline: Outline, shape: PixelShape) -> bool:
    """Compare the length of native pixels with what the header promises.

    Returns:
        Whether there are more bytes than needed (they are ignored).

    Raises:
        Quarantined: there are fewer.
    """
    have = outline.pixels[1] if outline.pixels else 0
    need = (shape.frame_bits() * shape.frames + 7) // 8
    if have < need:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    return have > need + need % 2


def check_encapsulated(outline: Outline, shape: PixelShape, *, rle: bool) -> None:
    """Compare every codestream's own size with the header's, before any codec runs.

    Raises:
        Quarantined: they differ, or the pixels cannot come from so few bytes.
    """
    fragments = outline.fragments[1:]
    if not fragments:
        raise Quarantined(Quarantine.PIXELS_MISSING)
    if len(fragments) < shape.frames:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    for offset, length in fragments:
        claim = claimed_size(bytes(outline.data[offset : offset + min(length, START)]))
        if claim is not None and claim != (shape.rows, shape.columns):
            raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    packed = sum(length for _, length in fragments)
    if rle and shape.frame_bits() * shape.frames // 8 > packed * RLE_GAIN + RLE_HEADER:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)


def _whole(header: Any, name: str, missing: int | None) -> int:
    value = header.get(name)
    if value is None or value == "":
        if missing is None:
            raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
        return missing
    try:
        return int(value)
    except (TypeError, ValueError):
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT) from None
