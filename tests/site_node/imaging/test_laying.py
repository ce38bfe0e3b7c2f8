"""A mask of a model lies on the pixels that the scanner stored, whatever the recipe did to them."""

from __future__ import annotations

import numpy as np
import pytest

from site_node.imaging.grid import axes_of, slice_nearest
from site_node.imaging.resize import fit_mask
from site_node.imaging.results.laying import on_image, on_slices
from site_node.imaging.series import Turn

RANDOM = np.random.default_rng(4)


def blocks(rows: int, columns: int, side: int = 4) -> np.ndarray:
    """A mask of blocks, so that scaling down loses none."""
    small = RANDOM.integers(0, 3, (rows // side, columns // side)).astype(np.uint8)
    return small.repeat(side, axis=0).repeat(side, axis=1)


@pytest.mark.parametrize("shape", [(32, 32), (32, 16), (16, 32), (64, 64)])
def test_a_padded_image_gets_its_mask_back(shape: tuple[int, int]) -> None:
    """Fitted to the recipe and laid back: the mask that was drawn, pixel by pixel."""
    mask = blocks(*shape)

    assert np.array_equal(on_image(fit_mask(mask, (32, 32), "pad"), shape, "pad"), mask)


def test_what_was_cropped_away_is_in_no_class() -> None:
    """Nobody looked there."""
    mask = np.ones((16, 32), np.uint8)

    laid = on_image(fit_mask(mask, (16, 16), "crop"), (16, 32), "crop")

    assert laid[:, 8:24].all()
    assert not laid[:, :8].any()
    assert not laid[:, 24:].any()


def test_pixels_that_are_not_square_are_evened_out_and_back() -> None:
    """Rows of 2 mm, columns of 1 mm: the stored sides come back."""
    mask = blocks(16, 32)

    assert np.array_equal(
        on_image(fit_mask(mask, (32, 32), "pad", (2.0, 1.0)), (16, 32), "pad", (2.0, 1.0)), mask
    )


@pytest.mark.parametrize("turn", [Turn(), Turn(True), Turn(False, True), Turn(True, False, True)])
def test_slices_get_their_masks_back_as_they_are_stored(turn: Turn) -> None:
    """Onto a finer, larger grid and back; mirrored and exchanged as the scanner stored them."""
    stored = np.stack([blocks(16, 12) for _ in range(6)])
    turned = np.stack([turn.apply(one) for one in stored])
    axes = axes_of(turned.shape, (3.0, 1.0, 1.0), (14, 40, 44), (3.0, 0.5, 0.5))
    grid = np.zeros((14, 40, 44), np.uint8)
    for number, source in zip(range(14)[axes[0].inside], axes[0].nearest(), strict=True):
        grid[number] = slice_nearest(turned[source], axes[1], axes[2])

    assert np.array_equal(on_slices(grid, axes, turn), stored)


def test_slices_outside_the_grid_are_in_no_class() -> None:
    """A short grid sees the middle of a long series."""
    axes = axes_of((10, 8, 8), (1.0, 1.0, 1.0), (4, 8, 8), (1.0, 1.0, 1.0))

    laid = on_slices(np.ones((4, 8, 8), np.uint8), axes, Turn())

    assert laid.any(axis=(1, 2)).tolist() == [False] * 3 + [True] * 4 + [False] * 3
