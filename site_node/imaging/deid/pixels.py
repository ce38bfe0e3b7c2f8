"""Pixels written native: nothing of a codestream, of unused bits or behind the last pixel is left.

Comments and application segments of JPEG and JPEG 2000 can hold a name, old overlays live in the
unused high bits, and some writers lay text behind the last pixel.

Source: DICOM PS3.5 §8, PS3.3 C.7.6.3.1; design/imaging.md §7.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging.decode import LOSSY, RLE, decoder_of, stored_frame
from site_node.imaging.deid.burned_in import Box
from site_node.imaging.deid.deidentify import put
from site_node.imaging.deid.elements import swap_words
from site_node.imaging.deid.read_pixels import Film
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.scan import Outline
from site_node.imaging.shape import PixelShape, check_encapsulated, check_native, read_shape

MOST_BYTES = 0xFFFFFFFE
BYTE = 8
METHODS = {
    "1.2.840.10008.1.2.4.50": "ISO_10918_1",
    "1.2.840.10008.1.2.4.81": "ISO_14495_1",
    "1.2.840.10008.1.2.4.91": "ISO_15444_1",
}


@dataclass(frozen=True)
class Native:
    """The pixels of one object as they will be written.

    Args:
        shape: what the header says of them, checked.
        outline: where they are.
        high: the highest bit that belongs to the picture.
        header: for its palette.
        boxes: places that are written blank, in every frame.
    """

    shape: PixelShape
    outline: Outline
    high: int
    header: Dataset
    boxes: tuple[Box, ...] = ()

    @property
    def decoded(self) -> bool:
        """Whether frames are decoded and written anew; otherwise their bytes are copied."""
        return self.outline.encapsulated or bool(self.boxes)

    @property
    def film(self) -> Film:
        """The same for a reader of text."""
        return Film(self.shape, self._stored, self.header)

    @property
    def length(self) -> int:
        """Bytes of all frames, without the one that makes it even."""
        if self.decoded:
            allocated = max(self.shape.allocated, BYTE)
            samples = self.shape.rows * self.shape.columns * self.shape.samples
            return samples * allocated // BYTE * self.shape.frames
        return (self.shape.frame_bits() * self.shape.frames + 7) // BYTE

    @property
    def type(self) -> str:
        """Type letters of the element."""
        return "OW" if self.shape.allocated > BYTE else "OB"

    def frames(self) -> Iterator[bytes]:
        """The value piece by piece; one frame is in memory, not all."""
        if not self.decoded:
            yield from self._copied()
            return
        for index in range(self.shape.frames):
            frame = self.film.blanked(self._stored(index), self.boxes)
            wide = np.dtype(f"<{frame.dtype.kind}{max(self.shape.allocated // BYTE, 1)}")
            yield self._masked(np.ascontiguousarray(frame).astype(wide)).tobytes()

    def _stored(self, index: int) -> NDArray[Any]:
        """One frame; of native pixels only its own bytes are copied, where frames end at a word."""
        bits, syntax = self.shape.frame_bits(), self.outline.syntax
        if self.outline.encapsulated or bits % 16:
            return stored_frame(self._value, self.shape, syntax, index)
        start = (self.outline.pixels or (0, 0))[0] + index * bits // BYTE
        value = bytes(self.outline.data[start : start + bits // BYTE])
        return stored_frame(value, replace(self.shape, frames=1), syntax, 0)

    @functools.cached_property
    def _value(self) -> bytes:
        """The whole value of Pixel Data, without what stands behind its last pixel."""
        offset, length = self.outline.pixels or (0, 0)
        if not self.outline.encapsulated:
            needed = (self.shape.frame_bits() * self.shape.frames + 7) // BYTE
            length = min(length, needed + needed % 2)
        return bytes(self.outline.data[offset : offset + length])

    def _copied(self) -> Iterator[bytes]:
        """Native pixels as they are, in little endian, only their own bits."""
        offset, _ = self.outline.pixels or (0, 0)
        size = self._piece()
        for at in range(0, self.length, size):
            count = min(size, self.length - at)
            piece = bytes(self.outline.data[offset + at : offset + at + count + count % 2])
            if self._swapped_words():
                piece = swap_words(piece)
            piece = piece[:count]
            if self.shape.allocated == 1:
                yield self._last_bits(piece, at + size >= self.length)
                continue
            order = "<" if self.outline.little else ">"
            kind = "i" if self.shape.signed else "u"
            cells = np.frombuffer(piece, f"{order}{kind}{self.shape.allocated // BYTE}")
            yield self._masked(cells.astype(cells.dtype.newbyteorder("<"))).tobytes()

    def _piece(self) -> int:
        """One frame's bytes; all when frames do not end at a byte."""
        bits = self.shape.frame_bits()
        return self.length if bits % 16 or self.shape.allocated == 1 else bits // BYTE

    def _swapped_words(self) -> bool:
        return not self.outline.little and self.shape.kind == "OW" and self.shape.allocated <= BYTE

    def _masked(self, cells: NDArray[Any]) -> NDArray[Any]:
        """Only the stored bits; the others repeat the sign, or are zero."""
        width = self.shape.allocated
        if self.shape.stored >= width and self.high == width - 1:
            return cells
        above = cells.dtype.type(width - 1 - self.high)
        below = cells.dtype.type(width - self.shape.stored)
        return np.right_shift(np.left_shift(cells, above), below)

    def _last_bits(self, piece: bytes, last: bool) -> bytes:  # noqa: FBT001 - a plain question
        spare = -(self.shape.frame_bits() * self.shape.frames) % BYTE
        if not last or not spare:
            return piece
        return piece[:-1] + bytes([piece[-1] & (0xFF >> spare)])


def read_native(outline: Outline, header: Dataset) -> Native:
    """Check that the pixels can be what the header says.

    Raises:
        Quarantined: no pixels, no decoder, or numbers that contradict each other.
    """
    if outline.pixels is None or outline.pixels[1] == 0:
        raise Quarantined(Quarantine.PIXELS_MISSING)
    decoder_of(outline.syntax, encapsulated=outline.encapsulated)
    kind = "OW" if outline.implicit else bytes(
        outline.data[outline.header + 4 : outline.header + 6]
    ).decode("ascii", "replace")  # fmt: skip
    shape = read_shape(header, kind, little=outline.little)
    if outline.encapsulated:
        check_encapsulated(outline, shape, rle=outline.syntax == RLE)
    else:
        check_native(outline, shape)
    high = header.get("HighBit")
    usual = shape.stored - 1
    native = Native(shape, outline, high if isinstance(high, int) else usual, header)
    if not usual <= native.high < shape.allocated:
        raise Quarantined(Quarantine.PIXELS_INCONSISTENT)
    if native.length > MOST_BYTES:
        raise Quarantined(Quarantine.TOO_LARGE)
    return native


def describe(native: Native, copy: Dataset) -> None:
    """Write into the copy's header what its pixels are now."""
    shape, outline = native.shape, native.outline
    put(copy, "BitsStored", shape.stored)
    put(copy, "HighBit", shape.stored - 1)
    if not native.decoded:
        return
    put(copy, "BitsAllocated", max(shape.allocated, BYTE))
    if shape.samples > 1:
        put(copy, "PhotometricInterpretation", "RGB")
        put(copy, "PlanarConfiguration", 0)
    if outline.syntax in LOSSY and copy.get("LossyImageCompression") != "01":
        packed = sum(length for _, length in outline.fragments[1:])
        put(copy, "LossyImageCompression", "01")
        put(copy, "LossyImageCompressionRatio", f"{native.length / max(packed, 1):.3g}")
        put(copy, "LossyImageCompressionMethod", METHODS[outline.syntax])
