"""Copies whose pictures were read for text: what is blanked, claimed, refused, and left alone."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from site_node.imaging.deid.burned_in import Read
from site_node.imaging.deid.copy_file import Copied, copy_file
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import STRICT, TRAINING
from site_node.imaging.deid.read_pixels import Sight
from site_node.imaging.outcomes import Quarantined
from tests.site_node.imaging.copies import KEYS
from tests.site_node.imaging.files import file_of, header
from tests.site_node.imaging.radiographs import sees_white

US, CT, SC = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("6.1", "2", "7"))
WRITTEN = (slice(10, 20), slice(8, 60))
J2K, RLE, BIG = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.2"


def copied(data: bytes, read: Read | None = sees_white) -> tuple[Dataset, Copied]:
    """The copy of a file, read again, and what was done."""
    out = BytesIO()
    done = copy_file(data, Order(TRAINING), KEYS, out, Sight(read))
    return pydicom.dcmread(BytesIO(out.getvalue())), done


def dim(shape: tuple[int, ...] = (96, 96), seed: int = 3, dtype: Any = np.uint8) -> np.ndarray:
    """A picture of quiet noise, in which the simple reader sees nothing."""
    return np.random.default_rng(seed).integers(3, 9, shape).astype(dtype)


def written(shape: tuple[int, ...] = (96, 96), top: int = 250, **given: Any) -> np.ndarray:
    """The same with something bright on it."""
    picture = dim(shape, **given)
    picture[WRITTEN] = top
    return picture


def film(frames: np.ndarray, **changes: Any) -> bytes:
    """A file of several frames (N, H, W)."""
    made = header(SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1", Modality="US", **changes)
    made.NumberOfFrames = len(frames)
    return file_of(made, frames.reshape(-1, frames.shape[2])).replace(
        b"\x28\x00\x10\x00US\x02\x00" + (len(frames) * frames.shape[1]).to_bytes(2, "little"),
        b"\x28\x00\x10\x00US\x02\x00" + frames.shape[1].to_bytes(2, "little"),
    )


def codes(copy: Dataset) -> list[str]:
    """The codes that a copy carries."""
    return [item.CodeValue for item in copy.DeidentificationMethodCodeSequence]


def test_what_is_written_is_blanked_and_the_rest_is_equal() -> None:
    """With a margin of 4 pixels and the value of the darkest pixel."""
    picture = written()

    copy, done = copied(file_of(header(), picture))

    pixels = copy.pixel_array
    blanked = pixels != picture
    assert (pixels[WRITTEN] == picture.min()).all()
    assert not blanked[:5].any()
    assert not blanked[25:].any()
    assert not blanked[:, 66:].any()
    assert done.actions["pixels"] == {"blanked": 1, "read": 1}


def test_the_copy_says_that_its_pixels_were_read() -> None:
    """Clean Pixel Data with its meaning, and no burned-in annotation left."""
    copy, done = copied(file_of(header(BurnedInAnnotation="YES"), written()))

    (item,) = [one for one in copy.DeidentificationMethodCodeSequence if one.CodeValue == "113101"]
    assert item.CodeMeaning == "Clean Pixel Data Option"
    assert codes(copy) == done.actions["codes"] == ["113100", "113101", "113107", "113108"]
    assert copy.BurnedInAnnotation == "NO"


def test_a_picture_without_text_is_copied_bit_by_bit_and_claims_the_reading() -> None:
    """Nothing was blanked, and that is said."""
    picture = dim(dtype=np.uint16) * 300

    copy, done = copied(file_of(header(), picture, syntax=BIG), lambda _: [])

    assert np.array_equal(copy.pixel_array, picture)
    assert done.actions["pixels"] == {"blanked": 0, "read": 1}
    assert "113101" in codes(copy)


def test_without_the_reader_nothing_is_claimed() -> None:
    """A code is true of the object, never a constant."""
    copy, done = copied(file_of(header(), written()), None)

    assert "113101" not in codes(copy)
    assert "pixels" not in done.actions
    assert "BurnedInAnnotation" not in copy
    assert np.array_equal(copy.pixel_array, written())


def test_a_volume_is_not_read_and_claims_nothing() -> None:
    """Thousands of slices would take days, and writing on them is rare."""
    data = file_of(header(SOPClassUID=CT, Modality="CT"), written())

    copy, done = copied(data)

    assert "113101" not in codes(copy)
    assert "pixels" not in done.actions
    assert np.array_equal(copy.pixel_array, written())


def test_a_volume_that_admits_writing_is_read() -> None:
    """It was refused before."""
    admits = header(SOPClassUID=CT, Modality="CT", BurnedInAnnotation="YES")

    copy, _ = copied(file_of(admits, written()))

    assert copy.BurnedInAnnotation == "NO"
    assert (copy.pixel_array[WRITTEN] < 9).all()


@pytest.mark.parametrize("sop_class", [US, SC])
def test_usual_suspects_pass_when_they_were_read(sop_class: str) -> None:
    """An ultrasound is refused without a reader, and blanked with one."""
    data = file_of(header(SOPClassUID=sop_class), written())
    with pytest.raises(Quarantined, match="burned_in_text"):
        copied(data, None)

    copy, _ = copied(data)

    assert (copy.pixel_array[WRITTEN] < 9).all()


def test_text_over_a_third_of_the_picture_is_refused() -> None:
    """What would be left is no picture, and who writes so much writes more."""
    picture = dim()
    picture[10:60, 5:70] = 250

    with pytest.raises(Quarantined, match="burned_in_text"):
        copied(file_of(header(), picture))


def test_text_in_frame_7_alone_is_blanked_in_every_frame() -> None:
    """The boxes of all frames are united; where it could not be read it is blanked too."""
    frames = np.stack([dim(seed=number) for number in range(10)])
    frames[7][WRITTEN] = 250

    copy, done = copied(film(frames))

    assert copy.pixel_array.shape == frames.shape
    assert (copy.pixel_array[7][WRITTEN] == frames[7].min()).all()
    for number in range(10):
        inner = copy.pixel_array[number][WRITTEN]
        assert (inner == inner[0, 0]).all()
        assert np.array_equal(copy.pixel_array[number][40:], frames[number][40:])
    assert done.actions["pixels"] == {"blanked": 1, "read": 10}


def test_text_that_wanders_over_the_frames_is_refused_when_little_is_left() -> None:
    """The share is of all frames together."""
    frames = np.stack([dim(seed=number) for number in range(6)])
    for number in range(6):
        frames[number, 5 + 14 * number : 13 + 14 * number, 5:70] = 250

    with pytest.raises(Quarantined, match="burned_in_text"):
        copied(film(frames))


@pytest.mark.parametrize("syntax", [J2K, RLE])
def test_compressed_pictures_are_blanked_too(syntax: str) -> None:
    """They are decoded for reading, and written native as ever."""
    picture = written(dtype=np.uint16, top=4000)

    copy, _ = copied(file_of(header(), picture, syntax=syntax, bits=12))

    assert (copy.pixel_array[WRITTEN] == picture.min()).all()
    assert np.array_equal(copy.pixel_array[40:], picture[40:])


def test_signed_and_inverted_values_are_blanked_dark() -> None:
    """Dark is the largest value of MONOCHROME1, and the sign is kept."""
    signed = written(dtype=np.int16, top=900) - 500
    inverted = (255 - written()).astype(np.uint8)

    one, _ = copied(file_of(header(), signed))
    two, _ = copied(file_of(header(PhotometricInterpretation="MONOCHROME1"), inverted))

    assert (one.pixel_array[WRITTEN] == signed.min()).all()
    assert (two.pixel_array[WRITTEN] == inverted.max()).all()
    assert np.array_equal(one.pixel_array[40:], signed[40:])


def test_colours_and_planes_are_blanked_in_all_channels() -> None:
    """Planes come out pixel by pixel; luminance and chrominance come out as RGB."""
    picture = written((96, 96, 3))
    planes = header(PhotometricInterpretation="RGB", PlanarConfiguration=0)
    luma = header(PhotometricInterpretation="YBR_FULL", PlanarConfiguration=0)
    grey = np.full((96, 96, 3), 128, np.uint8)
    grey[..., 0] = written()

    one, _ = copied(file_of(planes, picture))
    two, _ = copied(file_of(luma, grey))

    assert (one.pixel_array[WRITTEN] < 9).all()
    assert two.PhotometricInterpretation == "RGB"
    assert (two.pixel_array[WRITTEN] < 12).all()


def test_a_palette_is_looked_through_and_its_darkest_entry_blanks() -> None:
    """Stored values are no brightness: here the largest is black."""
    made = header(SOPClassUID=US, Modality="US", PhotometricInterpretation="PALETTE COLOR")
    ramp = (np.arange(255, -1, -1).astype("<u2") * 257).tobytes()
    for name in ("Red", "Green", "Blue"):
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(made, f"{name}PaletteColorLookupTableData", ramp)
    picture = (255 - written()).astype(np.uint8)

    copy, _ = copied(file_of(made, picture))

    assert (copy.pixel_array[WRITTEN] == picture.max()).all()
    assert copy.PhotometricInterpretation == "PALETTE COLOR"


def test_the_strict_profile_claims_the_reading_as_well() -> None:
    """The code belongs to the object, whatever the profile keeps."""
    out = BytesIO()

    done = copy_file(file_of(header(), written()), Order(STRICT), KEYS, out, Sight(sees_white))

    assert done.actions["codes"] == ["113100", "113101"]


def test_reading_is_given_processor_time_by_frames_and_tiles() -> None:
    """A long film may take long; how long is bounded."""
    asked: list[int] = []
    frames = np.stack([dim(seed=number) for number in range(3)])

    copy_file(film(frames), Order(TRAINING), KEYS, BytesIO(), Sight(lambda _: [], asked.append))

    assert asked == [frames.size, 3 * 2 * (120 << 20)]
