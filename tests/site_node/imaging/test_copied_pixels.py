"""Pixels of a copy: native, equal, and nothing around them."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pydicom
import pytest

from site_node.imaging.deid.copy_file import copy_file
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import TRAINING
from site_node.imaging.outcomes import Quarantined
from tests.site_node.imaging.copies import KEYS, copied
from tests.site_node.imaging.files import file_of, header, picture

BIG, LOSSLESS_J2K, JPEG_LS = (
    "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80",
)  # fmt: skip


@pytest.mark.parametrize("syntax", [LOSSLESS_J2K, JPEG_LS, BIG, "1.2.840.10008.1.2.5"])
def test_pixels_are_written_native_and_equal(syntax: str) -> None:
    """Whatever the input's encoding was."""
    pixels = picture(5, side=64).astype("u2") * 7

    made = copied(file_of(header(), pixels, syntax=syntax))

    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert np.array_equal(made.pixel_array, pixels)


@pytest.mark.parametrize("syntax", [LOSSLESS_J2K, JPEG_LS])
def test_a_comment_in_a_codestream_does_not_get_out(syntax: str) -> None:
    """A codestream has room for a name; the copy has no codestream."""
    name = b"Miller Jane 4711"
    pixels = np.full((64, 64), 7, np.uint8)
    data = file_of(header(), pixels, syntax=syntax)
    start = data.index(b"\xff\x4f\xff\x51" if syntax == LOSSLESS_J2K else b"\xff\xd8")
    if syntax == LOSSLESS_J2K:
        start += 4 + int.from_bytes(data[start + 4 : start + 6], "big")
        comment = b"\xff\x64" + (len(name) + 4).to_bytes(2, "big") + b"\0\1" + name
    else:
        start += 2
        comment = b"\xff\xfe" + (len(name) + 2).to_bytes(2, "big") + name
    fragment = data.rindex(b"\xfe\xff\x00\xe0", 0, start)
    size = int.from_bytes(data[fragment + 4 : fragment + 8], "little") + len(comment)
    longer = data[: fragment + 4] + size.to_bytes(4, "little") + data[fragment + 8 : start]
    longer += comment + data[start:]
    out = BytesIO()

    copy_file(longer, Order(TRAINING), KEYS, out)

    assert name in longer
    assert name not in out.getvalue()
    assert np.array_equal(pydicom.dcmread(BytesIO(out.getvalue())).pixel_array, pixels)


def test_unused_bits_are_not_copied() -> None:
    """Overlays live there; a signed value keeps its sign."""
    plain = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60
    signed = np.arange(-32, 32, dtype=np.int16).reshape(8, 8) * 60

    over = copied(file_of(header(), plain | 0xF000, bits=12))
    minus = copied(file_of(header(), signed & 0x0FFF, bits=12))

    assert np.array_equal(np.frombuffer(over.PixelData, "<u2"), plain.ravel())
    assert np.array_equal(np.frombuffer(minus.PixelData, "<i2"), signed.ravel())


def test_a_picture_in_the_upper_bits_moves_down() -> None:
    """Old scanners laid twelve bits at the top; what was below them is gone."""
    values = np.arange(64, dtype=np.uint16).reshape(8, 8) * 60
    data = file_of(header(), values << 4 | 0x5, bits=12)
    data = data.replace(
        b"\x28\x00\x02\x01US\x02\x00\x0b\x00", b"\x28\x00\x02\x01US\x02\x00\x0f\x00"
    )

    made = copied(data)

    assert (made.HighBit, made.BitsStored) == (11, 12)
    assert np.array_equal(np.frombuffer(made.PixelData, "<u2"), values.ravel())


def test_an_ultrasound_is_refused_unless_a_person_accepts_it() -> None:
    """No tag proves that no name is drawn into the picture."""
    data = file_of(header(SOPClassUID="1.2.840.10008.5.1.4.1.1.6.1", Modality="US"), picture())

    with pytest.raises(Quarantined, match="burned_in_text"):
        copied(data)

    assert copied(data, accept=True).Modality == "US"


def test_a_report_is_no_image() -> None:
    """Better none than half cleaned."""
    with pytest.raises(Quarantined, match="class_not_supported"):
        copied(file_of(header(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11"), picture()))
