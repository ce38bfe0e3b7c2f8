"""Which frames make a volume: order by place, faults by name, voxels where the patient has them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from site_node.imaging.planes import Plane
from site_node.imaging.series import Frame, Turn, is_localizer, sort_series, turn_of
from tests.site_node.imaging.slices import AXIAL, SAGITTAL, judge, plane, reasons, stack_of

EVEN = [0.0, 2.0, 4.0, 6.0, 8.0]


def test_slices_come_in_the_order_of_their_places_whatever_their_names_say():
    """Inferior first, for every order in which they arrive."""
    frames = stack_of([4.0, 0.0, 8.0, 2.0, 6.0])

    (stack,) = judge(frames).stacks

    assert [frame.plane.position[2] for frame in stack.frames] == [30, 32, 34, 36, 38]
    assert judge(frames[::-1]).stacks[0].frames == stack.frames
    assert not judge(frames).out


def test_a_known_voxel_is_where_it_lies_in_the_patient():
    """Slice 3, row 2, column 5: computed by hand."""
    (stack,) = judge(stack_of(EVEN)).stacks

    x, y, z, _ = stack.affine @ [3, 2, 5, 1]

    assert np.allclose((x, y, z), (-10 + 5 * 0.8, -20 + 2 * 0.5, 30 + 3 * 2.0), atol=0.01)
    assert stack.spacing == pytest.approx((2.0, 0.5, 0.8))
    assert stack.shape == (5, 4, 6)


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, 1, 0), (1, 0, 0, 0, -1, 0), (-1, 0, 0, 0, -1, 0),
        (0, 1, 0, 1, 0, 0), (0, -1, 0, 1, 0, 0), (0, 1, 0, -1, 0, 0), (0, -1, 0, -1, 0, 0),
    ],
)  # fmt: skip
def test_axial_volumes_grow_upwards_backwards_and_to_the_left(orientation):
    """Eight ways to store the same body; every voxel stays where it was in the patient."""
    frames = stack_of([0.0, 3.0, 6.0, 9.0], orientation)
    index = np.arange(24).reshape(4, 6)

    (stack,) = judge(frames).stacks

    assert (np.diag(stack.affine[:3, :3][::-1]) > 0).all()
    turned = stack.turn.apply(index)
    assert turned.shape == stack.shape[1:]
    for row, column in [(0, 0), (1, 2), (turned.shape[0] - 1, turned.shape[1] - 1)]:
        stored_row, stored_column = divmod(int(turned[row, column]), 6)
        first = stack.frames[2].plane
        there = (
            np.array(first.position)
            + first.along * stored_column * first.spacing[1]
            + first.down * stored_row * first.spacing[0]
        )
        assert np.allclose((stack.affine @ [2, row, column, 1])[:3], there, atol=1e-9)


def test_other_planes_keep_their_own_order_and_the_affine_says_which():
    """A sagittal series is not turned."""
    (stack,) = judge(stack_of(EVEN, SAGITTAL)).stacks

    assert stack.turn == Turn() == turn_of(plane((0, 0, 0), SAGITTAL))
    assert np.allclose(stack.affine[:3, 1], (0, 0, -0.5))
    assert np.allclose(stack.affine[:3, 2], (0, 0.8, 0))


def test_a_missing_slice_makes_a_series_uneven():
    """A network would see a body with a piece cut out."""
    assert reasons(stack_of([0, 2, 4, 8, 10, 12])) == {"series_uneven": 6}


@pytest.mark.parametrize(("off", "even"), [(0.04, True), (0.06, False)])
def test_places_may_be_rounded_and_no_more(off, even):
    """Steps of 2 mm may differ by 0.05 mm, which is more than one percent of them."""
    heights = [0, 2 + off, 4, 6, 8]

    assert bool(judge(stack_of(heights)).stacks) is even


@pytest.mark.parametrize(("off", "even"), [(0.09, True), (0.11, False)])
def test_thick_slices_may_differ_by_one_percent(off, even):
    """Of 10 mm, 0.1 mm."""
    assert bool(judge(stack_of([0, 10 + off, 20, 30, 40])).stacks) is even


def _leaning(per_mm: float) -> list[Frame]:
    return [
        replace(frame, plane=replace(frame.plane, position=(-10, -20 + per_mm * z, 30 + z)))
        for frame, z in zip(stack_of(EVEN), EVEN, strict=True)
    ]


@pytest.mark.parametrize(("degrees", "told"), [(0.4, {}), (0.6, {"series_tilted": 5})])
def test_a_tilted_gantry_is_named(degrees, told):
    """Slices that move sideways from step to step would shear the body."""
    assert reasons(_leaning(np.tan(np.radians(degrees)))) == told


def test_one_slice_beside_the_line_makes_a_series_uneven():
    """It moved between two slices; the mean step hides it."""
    frames = stack_of(EVEN)
    moved = replace(frames[2].plane, position=(-10, -18, 34))
    frames[2] = replace(frames[2], plane=moved)

    assert reasons(frames) == {"series_uneven": 5}


def test_two_images_at_one_place_are_named():
    """Which one is the body there nobody can know."""
    assert reasons(stack_of([0, 2, 4, 4, 6, 8])) == {"series_duplicate_position": 6}


def test_a_short_series_is_named():
    """A few slices are no volume."""
    assert reasons(stack_of([0, 2, 4])) == {"series_too_short": 3}
    assert reasons(stack_of([0]), least=1) == {"series_too_short": 1}


def test_a_series_that_falls_apart_in_two_halves_is_refused():
    """No half is the volume."""
    frames = stack_of(EVEN) + [
        replace(frame, source=f"1{frame.source}") for frame in stack_of(EVEN, rows=5)
    ]

    assert reasons(frames) == {"series_mixed_geometry": 10}


def test_a_stray_image_stays_out_and_the_volume_is_kept():
    """Most frames lie on one grid; the other one is named."""
    frames = [*stack_of(EVEN), Frame("stray", 0, plane((0, 0, 0), SAGITTAL))]

    told = judge(frames)

    assert len(told.stacks[0].frames) == 5
    assert {reason.value: [one.source for one in out] for reason, out in told.out.items()} == {
        "series_mixed_geometry": ["stray"]
    }


@pytest.mark.parametrize(
    "change",
    [{"numbers": (2.0, None, None)}, {"numbers": (None, 800.0, None)},
     {"numbers": (None, None, 2.0)}, {"words": ("AXIAL", "MPR")}, {"acquisition": 2}],
)  # fmt: skip
def test_echoes_b_values_times_and_kinds_are_volumes_of_their_own(change):
    """Two of them in one series, at the same places."""
    second = [replace(frame, source=f"1{frame.source}") for frame in stack_of(EVEN, **change)]

    told = judge(stack_of(EVEN) + second)

    assert [len(stack.frames) for stack in told.stacks] == [5, 5]
    assert not told.out


def test_a_scanner_that_counts_every_slice_as_an_acquisition_makes_one_volume():
    """Acquisitions divide only where they repeat a place."""
    frames = [
        replace(frame, plane=replace(frame.plane, acquisition=number))
        for number, frame in enumerate(stack_of(EVEN))
    ]

    assert [len(stack.frames) for stack in judge(frames).stacks] == [5]


def test_directions_may_be_rounded_in_the_fourth_digit():
    """Some scanners write fewer digits in some slices."""
    frames = stack_of(EVEN)
    rounded = replace(frames[1].plane, orientation=(1, 0.00009, 0, 0, 1, 0))
    frames[1] = replace(frames[1], plane=rounded)

    assert len(judge(frames).stacks) == 1


def test_a_scout_is_known_by_its_image_type():
    """It is left out before anything is sorted."""
    assert is_localizer(plane((0, 0, 0), words=("LOCALIZER",)))
    assert not is_localizer(plane((0, 0, 0), words=("AXIAL", "LOCALIZER")))


def test_every_frame_is_in_one_volume_or_has_one_reason():
    """Two hundred random series, with repeats, gaps, leans and mixed grids."""
    random = np.random.default_rng(11)
    for _ in range(200):
        heights = random.choice([0, 1, 2, 3, 4, 5, 6, 2.5], random.integers(1, 9))
        frames = stack_of([float(one) for one in heights], AXIAL, acquisition=1)
        frames += [
            replace(frame, source=f"b{number}")
            for number, frame in enumerate(stack_of([1.0], rows=int(random.integers(4, 6))))
        ]
        told = sort_series(frames, 3)
        places = [one for stack in told.stacks for one in stack.frames]
        places += [one for out in told.out.values() for one in out]
        assert sorted(one.source for one in places) == sorted(one.source for one in frames)


HIGHDICOM = [
    ([0, 2, 4, 6], 2.0), ([6, 0, 4, 2], 2.0), ([0, 2, 4, 8], None), ([0, 2, 4.03, 6], None),
    ([0, 10.05, 20, 30], 10.0), ([0, 10.15, 20, 30], None), ([0, 0, 2, 4], None),
]  # fmt: skip
"""Spacing by `highdicom.spatial.get_volume_positions` 0.28.2 at its defaults (rtol 0.01)."""


@pytest.mark.parametrize(("heights", "spacing"), HIGHDICOM)
def test_regularity_agrees_with_another_library(heights, spacing):
    """Except that we let 0.05 mm pass, as positions are often rounded to a tenth."""
    stacks = judge([*stack_of([float(one) for one in heights])]).stacks

    if heights == [0, 2, 4.03, 6]:
        assert len(stacks) == 1
    else:
        assert [round(stack.spacing[0], 2) for stack in stacks] == ([spacing] if spacing else [])


def test_planes_come_back_as_they_were_written():
    """Through the list that the database keeps."""
    one = plane((1, 2, 3), SAGITTAL, numbers=(1.5, None, 2.0), acquisition=7)

    assert Plane.of(one.plain()) == one
