"""Text in pixels: what is looked at, kept and blanked; with a reader that is simple."""

from __future__ import annotations

import numpy as np
import pytest

from site_node.imaging.deid.burned_in import (
    TILE,
    Box,
    Bytes,
    Seen,
    blank,
    darkest,
    find_text,
    share_of,
    tile_count,
    views,
)
from tests.site_node.imaging.radiographs import sees_light


def line(text: str, left: int = 10, top: int = 10, *, score: float = 0.9, wide: int = 40) -> Seen:
    """A line of 10 pixels height."""
    corners = [(left, top), (left + wide, top), (left + wide, top + 10), (left, top + 10)]
    return Seen(np.array(corners, np.float32), text, score)


def found(*lines: Seen) -> list[Box]:
    """What is blanked of a picture (800, 800) in which these lines are read."""
    return find_text(np.zeros((800, 800), np.uint8), lambda _: list(lines))


@pytest.mark.parametrize("text", ["L", "R", "AP", "PA", "kV8", "---/--", "  .,  "])
def test_markers_of_the_picture_stay(text: str) -> None:
    """Fewer than four letters or digits name nobody, and physicians need them."""
    assert not found(line(text))


@pytest.mark.parametrize("text", ["Miller", "4711", "M. I. 19", "Ö-Müller", "19-02-1950"])
def test_four_letters_or_digits_are_blanked(text: str) -> None:
    """Names, numbers and dates."""
    assert found(line(text)) == [Box(10, 10, 21, 51)]


def test_a_line_of_which_the_reader_is_not_sure_is_no_text() -> None:
    """Ribs and cables look like letters now and then."""
    assert not found(line("IIIII", score=0.4))


def test_what_stands_beside_a_name_goes_with_it() -> None:
    """A first letter, a short first name, a half-read word; a marker far away stays."""
    name, first, half, marker = (
        line("Miller", 100, 100),
        line("Jo", 146, 100),
        line("1?5", 192, 100, score=0.2),
        line("L", 600, 100),
    )

    boxes = found(name, first, half, marker)

    assert len(boxes) == 3
    assert not any(box.left == 600 for box in boxes)


@pytest.mark.parametrize(
    "shape", [(64, 64), (524, 640), (100, 1600), (1600, 100), (2500, 3000), (4096, 3328), (9, 700)]
)
def test_a_place_is_found_again_whatever_the_size(shape: tuple[int, int]) -> None:
    """Enlarged, reduced, cut into tiles: the box covers what was drawn, and not much more."""
    frame = np.zeros(shape, np.uint8)
    top, left = int(shape[0] * 0.6), int(shape[1] * 0.7)
    frame[top : top + 9, left : left + 60] = 255

    (top_left, *more) = find_text(frame, sees_light)
    blanked = blank(frame, [top_left, *more], 0)

    assert not blanked.any()
    assert share_of([top_left, *more], *shape) * frame.size <= (9 + 8) * (60 + 8)


@pytest.mark.parametrize("shape", [(524, 640), (2500, 3000), (200, 9000), (8000, 8000)])
def test_no_tile_is_larger_than_the_reader_may_get(shape: tuple[int, int]) -> None:
    """Its memory must not grow with the picture; the count is what time is reckoned by."""
    seen: list[tuple[int, ...]] = []

    def read(tile: Bytes) -> list[Seen]:
        seen.append(tile.shape)
        return []

    find_text(np.zeros(shape, np.uint8), read)

    assert len(seen) == tile_count(*shape)
    assert all(max(side) <= TILE and side[2] == 3 for side in seen)


def test_tiles_leave_no_gap_and_overlap() -> None:
    """A line at the edge of one tile stands whole in its neighbour."""
    widths: list[int] = []

    def read(tile: Bytes) -> list[Seen]:
        widths.append(tile.shape[1])
        return []

    find_text(np.zeros((800, 2040), np.uint8), read)

    assert sum(widths) >= 2040 + 128 * (len(widths) - 1)


def test_a_frame_with_one_bright_pixel_is_read_twice() -> None:
    """Its whole range would be black, text too; the middle of its range shows it."""
    frame = np.random.default_rng(1).integers(0, 60, (200, 200)).astype(np.uint16)
    frame[100:110, 50:90] = 100
    frame[0, 0] = 65535

    whole, middle = views(frame)

    assert whole[100:110, 50:90].max() == 0
    assert middle[100:110, 50:90].min() == 255


def test_text_beyond_the_usual_range_is_seen_in_the_whole_range() -> None:
    """A window over the middle alone would cut text and bone to the same white."""
    frame = np.random.default_rng(1).integers(900, 1000, (200, 200)).astype(np.int16)
    frame[100:102, 50:90] = 4095

    whole, *_ = views(frame)

    assert whole[100:102, 50:90].min() == 255
    assert whole[:100].max() < 128


def test_an_even_frame_is_no_error() -> None:
    """Nothing to see, nothing to divide by."""
    assert not find_text(np.full((8, 8), 7, np.int16), lambda _: [])
    assert len(list(views(np.full((8, 8), 7, np.int16)))) == 1


def test_blanking_leaves_the_original_and_stays_within_the_frame() -> None:
    """A margin may reach over an edge; colours are blanked in all channels."""
    frame = np.full((10, 10, 3), 200, np.uint8)

    blanked = blank(frame, [Box(0, 0, 2, 2), Box(9, 9, 10, 10)], (1, 2, 3), margin=2)

    assert (frame == 200).all()
    assert blanked[3, 3].tolist() == [1, 2, 3]
    assert blanked[4, 4].tolist() == [200, 200, 200]
    assert blanked[7, 9].tolist() == [1, 2, 3]
    assert (blanked[..., 0] == 1).sum() == 16 + 9


def test_the_darkest_place_of_a_colour_picture_is_the_one_with_the_least_light() -> None:
    """One channel alone does not decide."""
    frame = np.full((4, 4, 3), 100, np.uint8)
    frame[1, 1], frame[2, 3] = (0, 255, 255), (20, 20, 20)

    assert darkest(frame) == (2, 3)
