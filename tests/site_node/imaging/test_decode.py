"""Stored pixels become the picture a radiologist would see; every number computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from compliance.records.reasons import Quarantine
from site_node.imaging.outcomes import Quarantined
from tests.site_node.imaging.files import file_of, header, picture, read, values

BIG_ENDIAN = "1.2.840.10008.1.2.2"
IMPLICIT = "1.2.840.10008.1.2"
JPEG_LS, JPEG_2000, RLE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"


def flat(value: int, kind: str = "u2") -> np.ndarray:
    """A picture of one value; the corners hold nothing else."""
    return np.full((8, 8), value, kind)


def table(first: int, entries: list[int], bits: int) -> Sequence:
    """A lookup table item."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = entries
    item["LUTData"].VR = "US"
    return Sequence([item])


def test_without_a_window_the_full_range_of_the_stored_bits_is_shown():
    """4095 is the most that 12 bits hold, so 1024 is a quarter."""
    assert values(file_of(header(), flat(1024), bits=12))[0, 0] == pytest.approx(
        1024 / 4095, abs=1e-4
    )


def test_rescale_comes_before_the_window():
    """Stored 100 is 2 * 100 - 100 = 100 HU; LINEAR: (100 - 99.5) / 200 + 0.5."""
    made = header(RescaleSlope="2", RescaleIntercept="-100", WindowCenter="100", WindowWidth="201")

    assert values(file_of(made, flat(100)))[0, 0] == pytest.approx(0.5025, abs=1e-4)


@pytest.mark.parametrize(
    ("function", "expected"),
    [("LINEAR", 20.5 / 99 + 0.5), ("LINEAR_EXACT", 0.7), ("SIGMOID", 1 / (1 + math.exp(-0.8)))],
)
def test_each_window_function_is_the_one_of_the_standard(function, expected):
    """PS3.3 C.11.2.1.2 and C.11.2.1.3, 20 above the centre of a window of 100."""
    made = header(WindowCenter="50", WindowWidth="100", VOILUTFunction=function)

    assert values(file_of(made, flat(70)))[0, 0] == pytest.approx(expected, abs=1e-4)


def test_a_monochrome1_picture_is_turned_so_that_bright_is_dense_everywhere():
    """Stored 51 of 255 is dark on film: 0.8 when bright means dense."""
    found = read(file_of(header(PhotometricInterpretation="MONOCHROME1"), flat(51, "u1")))

    assert found.images[0][0, 0, 0] / 65535 == pytest.approx(0.8, abs=1e-4)
    assert "monochrome1_inverted" in found.findings


def test_a_modality_table_takes_the_place_of_rescale():
    """Stored 12 is the third entry of a table that begins at 10: 300 of 1023."""
    made = header(ModalityLUTSequence=table(10, [100, 200, 300, 400], 10), RescaleSlope="7")

    found = read(file_of(made, flat(12)))

    assert found.images[0][0, 0, 0] / 65535 == pytest.approx(300 / 1023, abs=1e-4)
    assert "modality_lut_applied" in found.findings


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", IMPLICIT, BIG_ENDIAN])
def test_a_voi_table_takes_the_place_of_the_window_in_every_byte_order(syntax):
    """Stored 11 is the second entry: 2000 of 4095."""
    made = header(VOILUTSequence=table(10, [0, 2000, 4095], 12), WindowCenter="1", WindowWidth="2")

    found = values(file_of(made, flat(11), syntax=syntax))

    assert found[0, 0] == pytest.approx(2000 / 4095, abs=1e-4)


def test_padding_is_no_picture_even_when_the_picture_is_turned():
    """Pixels beside the picture are black in MONOCHROME1 too."""
    pixels = flat(51, "u1")
    pixels[0] = 255
    made = header(PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=255)
    made["PixelPaddingValue"].VR = "US"

    found = values(file_of(made, pixels))

    assert found[0].max() == 0
    assert found[1, 1] == pytest.approx(0.8, abs=1e-4)


def test_unused_high_bits_are_not_part_of_the_value():
    """An old overlay may live above bit 11: 0xF800 with 12 bits is 0x800."""
    found = values(file_of(header(), flat(0xF800), bits=12))

    assert found[0, 0] == pytest.approx(0x800 / 4095, abs=1e-4)


def test_signed_values_are_signed():
    """-1024 of -32768 to 32767."""
    found = values(file_of(header(), flat(-1024, "i2")))

    assert found[0, 0] == pytest.approx((32768 - 1024) / 65535, abs=1e-4)


def test_colour_becomes_luminance_for_a_grey_recipe():
    """Pure green counts 0.587 (ITU-R BT.601)."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[..., 1] = 255
    made = header(PhotometricInterpretation="RGB", PlanarConfiguration=0)

    assert values(file_of(made, pixels))[0, 0] == pytest.approx(0.587, abs=1e-4)


@pytest.mark.parametrize("syntax", [JPEG_LS, JPEG_2000, RLE, IMPLICIT, BIG_ENDIAN])
def test_a_lossless_syntax_gives_the_same_picture_as_its_native_twin(syntax):
    """Two hospitals that store the same picture differently train on the same numbers."""
    pixels = picture(5, side=64).astype("u2") * 7
    twin, other = (
        read(file_of(header(), pixels, syntax=kind, bits=12))
        for kind in ("1.2.840.10008.1.2.1", syntax)
    )

    assert other.pixels == twin.pixels
    assert np.array_equal(other.images[0], twin.images[0])
    assert other.facts["decoder"]


def test_a_wide_picture_is_padded_and_not_stretched():
    """Half as high as wide: two rows above and two below stay black."""
    found = values(file_of(header(), np.full((4, 8), 255, np.uint8)))

    assert found[:2].max() == found[6:].max() == 0
    assert found[2:6].min() == 1


def test_a_smaller_picture_is_the_mean_of_its_area():
    """Four pixels 0, 0, 255, 255 become one of half brightness."""
    pixels = np.tile(np.array([[0, 255], [0, 255]], np.uint8), (8, 8))

    assert values(file_of(header(), pixels)) == pytest.approx(np.full((8, 8), 0.5), abs=1e-4)


@pytest.mark.parametrize("slope", ["0", "NaN", "inf"])
def test_a_slope_that_cannot_be_is_refused(slope):
    """With slope 0 every tissue would look alike."""
    data = file_of(header(RescaleSlope="1.5", RescaleIntercept="0"), flat(1))
    data = data.replace(b"1.5 ", slope.encode().ljust(4))

    with pytest.raises(Quarantined) as out:
        read(data)

    assert out.value.reason is Quarantine.NUMBER_NOT_USABLE


def test_a_table_shorter_than_it_says_is_refused():
    """A lookup beyond the end of a table would read what is not there."""
    made = header(VOILUTSequence=table(0, [1, 2, 3], 12))
    made.VOILUTSequence[0].LUTDescriptor = [4000, 0, 12]

    with pytest.raises(Quarantined) as out:
        read(file_of(made, flat(1)))

    assert out.value.reason is Quarantine.LUT_NOT_USABLE
