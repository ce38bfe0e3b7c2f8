"""The frozen threshold, the outcome of a score, and what later images are compared with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compliance.records.recipe import layout_of
from site_node.training.evaluation import Scored
from site_node.training.profiles import BINS, outcomes, present, shares_of
from site_node.training.reference import points_of, reference_of
from site_node.training.scoring import Scorer
from site_node.training.vectors import start_vector


def test_the_threshold_is_the_one_that_separates_best(makers: Any) -> None:
    """By Youden's index on validation patients; a class with fewer than 10 a side gets none."""
    recipe = makers.recipe()
    scores = np.concatenate([np.linspace(0.1, 0.3, 20), np.linspace(0.25, 0.6, 20)])[:, None]
    labels = (np.arange(40) >= 20)[:, None]

    found = points_of(Scored(scores, labels), recipe)

    best = max(((scores[20:] >= p).mean() - (scores[:20] >= p).mean(), -p) for p in scores[:, 0])
    assert found == {"opacity": pytest.approx(-best[1])}
    assert points_of(Scored(scores[11:], labels[11:]), recipe) == {}
    assert points_of(Scored(scores, labels), makers.recipe("multiclass")) == {}


def test_a_score_comes_to_its_class(makers: Any) -> None:
    """Of two by the threshold, of several exclusive ones the highest, else each by itself."""
    low, high = np.array([[0.3]]), np.array([[0.4]])
    assert outcomes(low, makers.recipe(), {"opacity": 0.4}) == [("clear",)]
    assert outcomes(high, makers.recipe(), {"opacity": 0.4}) == [("opacity",)]
    assert outcomes(high, makers.recipe(), {}) == [("clear",)]
    three = np.array([[0.2, 0.5, 0.3], [0.1, 0.2, 0.1]])
    assert outcomes(three, makers.recipe("multiclass"), {}) == [("opacity",), ("opacity",)]
    assert outcomes(three, makers.recipe("multilabel"), {}) == [("opacity",), ("none",)]


def test_brightness_is_sixteen_shares_of_each_image() -> None:
    """Black, white and half of each; the shares of an image add up to a million."""
    images = np.zeros((3, 1, 4, 4), np.float32)
    images[1], images[2, 0, :2] = 1.0, 1.0

    found = shares_of(images)

    assert found.shape == (3, BINS)
    assert [row.sum() for row in found] == [1_000_000] * 3
    assert (found[0, 0], found[1, -1], found[2, 0], found[2, -1]) == (
        1_000_000, 1_000_000, 500_000, 500_000,
    )  # fmt: skip


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_dataset_is_counted_whole(makers: Any, task: str) -> None:
    """Every image of every split is in labels and brightness."""
    recipe, data = makers.recipe(task), makers.hospital(task, n=24)
    vector = start_vector(layout_of(recipe), 1)

    found = reference_of(vector, data, recipe)

    assert found.images == 24 + 12 + 24
    assert sum(found.bins) == pytest.approx(found.images * 1_000_000, rel=1e-3)
    if task != "multilabel":
        assert sum(found.labels.values()) == found.images
    assert found == reference_of(vector, data, recipe)


@pytest.mark.parametrize("dims", [2, 3])
def test_masks_are_counted_by_the_classes_they_hold(makers: Any, dims: int) -> None:
    """Images and volumes; an empty mask counts as none, and no threshold is chosen."""
    recipe = makers.mask_recipe("unet" if dims == 2 else "unet-3d", dims=dims)
    data = makers.drawn(n=4, dims=dims, empty=1)

    found = reference_of(start_vector(layout_of(recipe), 1), data, recipe)

    assert (found.images, found.labels, found.points) == (12, {"lesion": 9, "none": 3}, {})
    masks = np.zeros((2, *[4] * dims), np.uint8)
    masks[0].flat[3] = 1
    assert present(masks, recipe) == [("lesion",), ("none",)]


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_one_image_scores_as_among_many(makers: Any, task: str) -> None:
    """The batch changes nothing; scores lie in [0, 1], exclusive ones add up to 1."""
    recipe, data = makers.recipe(task), makers.hospital(task, n=6)
    scorer = Scorer(start_vector(layout_of(recipe), 1), recipe)
    images, _ = data.batch(np.arange(6))

    found = scorer.scores(images)

    assert found.shape == (6, recipe.outputs)
    assert ((found >= 0) & (found <= 1)).all()
    assert np.allclose(found[2:3], scorer.scores(images[2:3]), atol=1e-6)
    if task == "multiclass":
        assert np.allclose(found.sum(axis=1), 1)
