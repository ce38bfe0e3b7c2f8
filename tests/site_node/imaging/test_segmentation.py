"""DICOM Segmentation: bits, places and references, read by our own code."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging.masks import (
    Drawing,
    Overlap,
    Unmatched,
    lay,
    merge,
    pieces_by_slice,
    pieces_of_image,
)
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.phantoms import draw_body
from site_node.imaging.recipe import Segment
from site_node.imaging.scan import scan
from site_node.imaging.segmentation import Piece, Segmented, masks_of, read_segmentation
from site_node.imaging.shape import read_shape
from site_node.imaging.synthetic_masks import seg_file
from site_node.imaging.synthetic_series import make_series
from tests.site_node.imaging.slices import SAGITTAL, judge, plane, stack_of

LESION = Segment(name="lesion", code="SCT:52988006")
RNG = np.random.default_rng
BODY = draw_body(RNG(4), (20, 9, 11), lesions=2)
SERIES = make_series(BODY, "7", RNG(5))


def header_of(data: bytes) -> Dataset:
    """The parsed file."""
    return pydicom.dcmread(BytesIO(data))


def read(data: bytes, *segments: Segment) -> tuple[Segmented, np.ndarray]:
    """What a segmentation says, and the pixels of its pieces."""
    header, outline = header_of(data), scan(data)
    shape = read_shape(header, "OB")
    told = read_segmentation(header, shape, segments or (LESION,))
    return told, np.array(list(masks_of(outline, header, shape, told.pieces)))


def changed(**changes: Any) -> bytes:
    """The segmentation with other elements."""
    header = header_of(seg_file(SERIES, BODY.lesions, RNG(6)))
    for name, value in changes.items():
        setattr(header, name, value)
    out = BytesIO()
    header.save_as(out, enforce_file_format=True)
    return out.getvalue()


@pytest.mark.parametrize("fractional", [False, True])
def test_bits_come_back_as_they_were_drawn(fractional):
    """Frames of 99 pixels begin in the middle of a byte."""
    told, pixels = read(seg_file(SERIES, BODY.lesions, RNG(6), fractional=fractional))

    drawn = [mask for mask in BODY.lesions if mask.any()]
    assert len(drawn) >= 2
    assert np.array_equal(pixels, drawn)
    assert told.classes == (1,)
    assert [piece.images for piece in told.pieces] == [
        (SERIES.slices[number].instance,) for number, mask in enumerate(BODY.lesions) if mask.any()
    ]
    assert set(told.images) == {one.instance for one in SERIES.slices}


def test_a_piece_says_where_it_lies():
    """Position from its own group, orientation and spacing from the shared one."""
    told, _ = read(seg_file(SERIES, BODY.lesions, RNG(6)))

    first = next(number for number, mask in enumerate(BODY.lesions) if mask.any())
    assert told.pieces[0].plane is not None
    assert told.pieces[0].plane.position == SERIES.slices[first].position
    assert told.pieces[0].step == BODY.spacing[0]
    assert told.space == SERIES.space


def test_only_wanted_segments_are_read():
    """By code or by label, in the order of the recipe; an unwanted one is no class."""
    data = seg_file(SERIES, BODY.lesions, RNG(6))
    other = Segment(name="kidney", code="SCT:64033007")

    assert read(data, other, LESION)[0].classes == (2,)
    assert read(data, Segment(name="x", label="Lesion"))[0].classes == (1,)
    told, pixels = read(data, other)
    assert (told.classes, told.pieces, len(pixels)) == ((), (), 0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SegmentationType": "LABELMAP"}, Quarantine.PIXELS_INCONSISTENT),
        ({"SegmentationType": "FRACTIONAL"}, Quarantine.PIXELS_INCONSISTENT),
        ({"PerFrameFunctionalGroupsSequence": []}, Quarantine.PIXELS_INCONSISTENT),
        ({"SharedFunctionalGroupsSequence": []}, Quarantine.NUMBER_NOT_USABLE),
    ],
)
def test_a_segmentation_that_contradicts_itself_is_refused(changes, reason):
    """With the reason from the closed list."""
    with pytest.raises(Quarantined) as out:
        read(changed(**changes))

    assert out.value.reason is reason


def test_pieces_come_back_through_the_pipe():
    """Between child and parent they are JSON."""
    told, _ = read(seg_file(SERIES, BODY.lesions, RNG(6)))

    assert [Piece.of(piece.plain()) for piece in told.pieces] == list(told.pieces)
    assert Piece.of(Piece(0, 1, None, ("a",), (2,)).plain()) == Piece(0, 1, None, ("a",), (2,))


def test_a_mask_is_laid_on_another_grid_by_its_nearest_voxel():
    """Half the spacing, moved by one image column: computed by hand."""
    image = plane((0, 0, 0), rows=2, columns=3, spacing=(2.0, 2.0))
    piece = plane((2, 0, 0), rows=3, columns=4, spacing=(1.0, 1.0))
    drawn = np.array([[1, 0, 2, 0], [0, 0, 0, 0], [3, 0, 4, 0]], np.uint8)

    assert lay(drawn, piece, image).tolist() == [[0, 1, 2], [0, 3, 4]]


def test_every_slice_gets_the_pieces_that_lie_on_it():
    """Nearest place of each class, within half a slice."""
    (stack,) = judge(stack_of([0.0, 2.0, 4.0, 6.0])).stacks
    pieces = [
        Piece(0, 1, plane((0, 0, 32)), ()),
        Piece(1, 2, plane((0, 0, 32.3)), ()),
        Piece(2, 1, plane((0, 0, 36.9)), ()),
        Piece(3, 1, plane((0, 0, 39)), ()),
    ]

    assert pieces_by_slice(stack, pieces) == [[], [0, 1], [], [2]]
    assert pieces_by_slice(stack, []) == [[], [], [], []]


def test_thick_masks_reach_every_thin_slice_below_them():
    """Drawn every 4 mm on slices of 2 mm: nearest neighbour."""
    (stack,) = judge(stack_of([0.0, 2.0, 4.0, 6.0])).stacks
    pieces = [
        Piece(0, 1, plane((0, 0, 31)), (), step=4.0),
        Piece(1, 1, plane((0, 0, 35)), (), step=4.0),
    ]

    assert pieces_by_slice(stack, pieces) == [[0], [0], [1], [1]]


@pytest.mark.parametrize(
    "elsewhere",
    [plane((0, 0, 300)), plane((0, 0, 32), SAGITTAL), None],
)
def test_a_mask_that_lies_elsewhere_is_on_no_slice(elsewhere):
    """Other height, other direction, no place at all."""
    (stack,) = judge(stack_of([0.0, 2.0, 4.0, 6.0])).stacks

    with pytest.raises(Unmatched):
        pieces_by_slice(stack, [Piece(0, 1, elsewhere, ())])


def _drawing(*kinds: int) -> Drawing:
    pixels = np.zeros((len(kinds), 2, 3), np.uint8)
    pixels[:, 0, 0] = 1
    return Drawing([Piece(number, kind, None, ()) for number, kind in enumerate(kinds)], pixels)


def test_two_classes_on_one_voxel_are_refused():
    """Which of them is right nobody here can know; the same class twice is one."""
    assert _drawing(2, 2).on([0, 1], None, (2, 3)).tolist() == [[2, 0, 0], [0, 0, 0]]
    with pytest.raises(Overlap):
        _drawing(1, 2).on([0, 1], None, (2, 3))


def test_two_segmentations_of_one_voxel_are_refused():
    """Two readers: their union is nobody's opinion."""
    one, other = np.array([[1, 0]], np.uint8), np.array([[0, 1]], np.uint8)

    assert merge([one, other]).tolist() == [[1, 1]]
    with pytest.raises(Overlap):
        merge([one, one])


def test_a_mask_of_another_size_is_not_laid_on_a_radiograph():
    """Without a place there is no way to know how it would lie."""
    with pytest.raises(Unmatched):
        _drawing(1).on([0], None, (4, 4))


def test_a_radiograph_finds_its_pieces_by_reference():
    """And by frame number where the piece names one."""
    pieces = [Piece(0, 1, None, ("a",)), Piece(1, 1, None, ("b",)), Piece(2, 1, None, ("a",), (2,))]

    assert pieces_of_image(pieces, {"a"}, 1) == [0]
    assert pieces_of_image(pieces, {"a"}, 2) == [0, 2]
    assert pieces_of_image(pieces, {"c"}, 1) == []


@pytest.mark.parametrize("name", ["liver.dcm", "liver_expb.dcm"])
def test_a_real_segmentation_gives_the_bits_that_another_reader_gives(name):
    """Three slices of a liver, little and big endian, drawn by people."""
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    data = Path(path).read_bytes()
    header, outline = header_of(data), scan(data)
    shape = read_shape(header, "OB", little=outline.little)

    told = read_segmentation(header, shape, [Segment(name="liver", label="Liver")])
    pixels = np.array(list(masks_of(outline, header, shape, told.pieces)))

    assert pixels.sum() == 107_098
    assert np.array_equal(pixels, header.pixel_array)
    assert told.pieces[0].plane is not None
    assert told.pieces[0].plane.position == (-235.2, -226.8, -128.69)
    assert all(len(piece.images) == 1 for piece in told.pieces)


def test_bits_in_swapped_words_are_refused():
    """Big endian words of single bits: retired, and no reader agrees with another on them."""
    header = header_of(seg_file(SERIES, BODY.lesions, RNG(6)))

    with pytest.raises(Quarantined) as out:
        read_segmentation(header, read_shape(header, "OW", little=False), [LESION])

    assert out.value.reason is Quarantine.TRANSFER_SYNTAX_NOT_SUPPORTED
