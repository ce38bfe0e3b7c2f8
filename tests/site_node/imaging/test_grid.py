"""From a series' grid to the recipe's: values computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from site_node.imaging.grid import (
    affine_of,
    axes_of,
    axis_of,
    slice_linear,
    slice_nearest,
    through,
)
from site_node.imaging.resize import fit_image, fit_mask


def test_an_axis_that_fits_is_taken_as_it_is():
    """Same spacing, same size: every voxel is itself."""
    axis = axis_of(5, 2.0, 5, 2.0)

    assert axis.places().tolist() == [0, 1, 2, 3, 4]
    assert axis.nearest().tolist() == [0, 1, 2, 3, 4]


def test_what_is_too_large_is_cut_and_what_is_too_small_is_padded_around_the_middle():
    """Whole voxels, nothing blurred."""
    cut, padded = axis_of(7, 1.0, 4, 1.0), axis_of(3, 1.0, 6, 1.0)

    assert cut.places().tolist() == [1, 2, 3, 4]
    assert (padded.inside, padded.places().tolist()) == (slice(1, 4), [0, 1, 2])


def test_twice_as_many_voxels_lie_between_the_old_ones():
    """Three voxels of 2 mm become six of 1 mm; the ends keep the edge's value."""
    axis = axis_of(3, 2.0, 6, 1.0)
    line = np.array([[0.0, 10.0, 20.0]])

    values = slice_linear(line, axis_of(1, 1.0, 1, 1.0), axis)[0]

    assert axis.places().tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2]
    assert values.tolist() == [0, 2.5, 7.5, 12.5, 17.5, 20]


def test_half_as_many_voxels_lie_in_the_middle_of_two():
    """Four voxels of 1 mm become two of 2 mm."""
    axis = axis_of(4, 1.0, 2, 2.0)

    assert axis.places().tolist() == [0.5, 2.5]
    assert axis.nearest().tolist() == [1, 3]


def test_a_slice_is_interpolated_in_both_directions():
    """A plane stays a plane."""
    rows, columns = axis_of(5, 1.0, 9, 0.5), axis_of(4, 1.0, 8, 0.5)
    down, across = np.meshgrid(np.arange(5), np.arange(4), indexing="ij")

    result = slice_linear(3 * down + across, rows, columns)

    wanted = 3 * rows.places()[:, None] + columns.places()[None, :]
    assert np.allclose(result[rows.inside, columns.inside], wanted)


def test_padding_is_no_value_in_images_and_no_class_in_masks():
    """A volume smaller than the recipe's has a frame of nothing."""
    rows, columns = axis_of(2, 1.0, 4, 1.0), axis_of(2, 1.0, 4, 1.0)

    image = slice_linear(np.ones((2, 2)), rows, columns)
    mask = slice_nearest(np.full((2, 2), 3, np.uint8), rows, columns)

    assert np.isnan(image).sum() == 12
    assert (mask.sum(), mask[1, 1]) == (12, 3)


def test_slices_are_interpolated_and_padded():
    """Between two slices lies their mean; beyond them nothing."""
    planes = np.array([[[0.0]], [[4.0]], [[8.0]]], np.float32)

    walked = list(through(planes, axis_of(3, 2.0, 8, 1.0)))

    values = [None if one is None else float(one[0, 0]) for one in walked]
    assert values == [None, 0, 1, 3, 5, 7, 8, None]


@pytest.mark.parametrize("size", [(6, 10, 4), (9, 5, 12)])
def test_the_affine_of_the_result_maps_a_known_voxel(size):
    """Image and place are resampled alike: a field of coordinates keeps its own place."""
    shape, spacing, wanted = (7, 8, 9), (3.0, 0.7, 0.9), (2.0, 1.1, 0.8)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0, 0, 0.9], [0, 0.7, 0], [3.0, 0, 0]])
    affine[:3, 3] = (-5, 6, 100)
    axes = axes_of(shape, spacing, size, wanted)

    changed = affine_of(affine, axes)

    for number, axis in enumerate(axes):
        index = [(each.inside.start + each.inside.stop) // 2 for each in axes]
        source = [each.start + each.step * place for each, place in zip(axes, index, strict=True)]
        here = changed @ [*index, 1]
        assert np.allclose(here, affine @ [*source, 1], atol=0.01)
        assert np.linalg.norm(changed[:3, number]) == pytest.approx(wanted[number])
        assert axis.size == size[number]


def test_the_middle_of_the_body_stays_the_middle():
    """Whatever is cut, padded or resampled, centres coincide within half a voxel."""
    random = np.random.default_rng(5)
    for _ in range(300):
        have, size = (int(one) for one in random.integers(1, 40, 2))
        spacing, wanted = (float(one) for one in random.uniform(0.3, 4, 2))
        axis = axis_of(have, spacing, size, wanted)
        centre = axis.start + axis.step * (size - 1) / 2
        assert abs(centre - (have - 1) / 2) <= axis.step / 2 + 1e-9
        assert (axis.places() >= 0).all()
        assert (axis.places() <= have - 1).all()


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(8, 8), (5, 9), (16, 12), (30, 7)])
def test_a_mask_is_laid_where_its_image_is(fit, shape):
    """A mask drawn on an image covers the same part of it afterwards."""
    half = np.zeros(shape, np.uint8)
    half[:, shape[1] // 2 :] = 1

    mask = fit_mask(half, (12, 12), fit, (1.0, 1.0))
    image = fit_image(half[None].astype(float), (12, 12), fit, (1.0, 1.0))[0]

    assert (np.abs(mask - image) <= 0.51).all()
    assert set(np.unique(mask)) <= {0, 1}
