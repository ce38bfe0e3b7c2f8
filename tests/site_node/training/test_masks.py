"""Masks and volumes: learned together, cut together, moved together, judged by patient."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch
from hospital_in_memory import MemoryDataset

from compliance.errors import Refused
from compliance.records.recipe import layout_of, shipped, with_changes
from compliance.records.rounds import MetricValue
from compliance.records.training import Augment
from site_node.training.augmentation import augment_both
from site_node.training.claims import NOTHING
from site_node.training.datasets import Split, fit_masks, prepare
from site_node.training.losses import dice_and_cross_entropy
from site_node.training.overlaps import Overlaps, bootstrap, measure_masks, overlap_patients
from site_node.training.patches import answer, cut
from site_node.training.pooled import Pool, mean_dice, overlaps_on
from site_node.training.session import Job, handle_on
from site_node.training.vectors import start_vector

NAMES = ["dice", "detected", "left_empty"]


def job(recipe, **changes):
    """A training job over masks, from drawn start weights."""
    layout = layout_of(recipe)
    made = Job("train", recipe, layout, start_vector(layout, 5), Path(), 11, NAMES, 1)
    return replace(made, **changes)


def play(data, first, rounds):
    """Train one hospital for some rounds on its own deltas; return the model."""
    model = first.vector
    for number in range(rounds):
        result = handle_on(data, replace(first, vector=model, seed=number))
        model = (model.astype(np.float64) + result.delta).astype(np.float32)
    return model


@pytest.mark.parametrize(
    ("name", "dims", "patch"), [("unet", 2, None), ("unet-3d", 3, None), ("unet", 2, [16, 16])]
)
def test_masks_are_learned_in_images_in_volumes_and_from_patches(makers, name, dims, patch):
    """A few rounds draw blocks that the start model did not see."""
    side = 24 if patch else 16
    recipe = makers.mask_recipe(
        name, side, dims,
        preprocessing={"patch": patch},
        local={"steps": 8, "batch": 8}, optimiser={"lr": "0.01"}, augment={"noise": "0"},
    )  # fmt: skip
    data = makers.drawn(8, side, dims)

    model = play(data, job(recipe), 3)

    assert mean_dice([overlaps_on(job(recipe).vector, data, "test", recipe)]) < 0.5
    assert mean_dice([overlaps_on(model, data, "test", recipe)]) > 0.75


@pytest.mark.parametrize(("name", "dims"), [("unet", 2), ("unet-3d", 3)])
def test_the_same_job_on_masks_gives_the_same_bytes(makers, name, dims):
    """Patches, turns and noise follow the seed alone."""
    recipe = makers.mask_recipe(
        name, 24, dims, preprocessing={"patch": [16] * dims}, augment={"flip": True}
    )
    data = makers.drawn(4, 24, dims)

    torch.manual_seed(1)
    one = handle_on(data, job(recipe))
    torch.manual_seed(2)
    other = handle_on(data, job(recipe))

    assert one.delta.tobytes() == other.delta.tobytes()
    assert one.metrics == other.metrics
    assert handle_on(data, job(recipe, seed=12)).delta.tobytes() != one.delta.tobytes()


def test_volumes_are_classified(makers):
    """DenseNet reads slices, rows and columns, and answers once for a volume."""
    recipe = with_changes(
        shipped()["densenet121-3d"],
        {
            "classes": list(makers.CLASSES[:2]),
            "preprocessing": {"size": [32, 32, 32]},
            "local": {"steps": 1, "batch": 2},
        },
    )
    flat = makers.hospital(n=4)
    labels = [flat.batch(flat.rows(name))[1] for name in ("train", "validation", "test")]
    parts = zip(("train", "validation", "test"), labels, strict=True)
    volumes = {
        name: (np.random.default_rng(0).random((len(y), 1, 8, 16, 16)).astype(np.float32), y)
        for name, y in parts
    }
    data = MemoryDataset("binary", makers.CLASSES[:2], volumes)

    result = handle_on(data, job(recipe, metrics=["accuracy"]))

    assert (result.n, result.steps) == (4, 1)
    assert np.isfinite(result.delta).all()
    assert result.metrics[-1][2]["accuracy"]["n"] in (4, None)


@pytest.mark.parametrize(
    ("terms", "dims"),
    [({"flip": True}, 2), ({"rotate": "30"}, 2), ({"shift": "0.3"}, 3), ({"rotate": "30"}, 3)],
)
def test_a_mask_moves_with_its_image(terms, dims):
    """An image that is its own mask stays so: a shifted mask would teach the wrong place."""
    masks = torch.zeros(6, *[16] * dims, dtype=torch.int64)
    masks[(slice(None), *[slice(3, 9)] * dims)] = 1
    masks[(slice(None), *[slice(9, 12)] * dims)] = 2
    told = Augment(**{"flip": False, "rotate": "0", "shift": "0", "noise": "0", **terms})

    images, moved = augment_both(
        masks[:, None].float(), masks, told, torch.Generator().manual_seed(3)
    )

    assert moved.dtype == torch.int64
    assert set(moved.unique().tolist()) <= {0, 1, 2}
    assert not torch.equal(moved, masks)
    agree = (images[:, 0].round().long() == moved).float().mean()
    assert float(agree) > 0.93  # linear against nearest: only edges may differ


def test_noise_is_for_images_only():
    """A mask has no noise: a voxel is in a class or not."""
    masks = torch.ones(2, 8, 8, dtype=torch.int64)
    terms = Augment(flip=False, rotate="0", shift="0", noise="0.5")

    images, moved = augment_both(torch.zeros(2, 1, 8, 8), masks, terms, torch.Generator())

    assert torch.equal(moved, masks)
    assert float(images.std()) > 0.3


def test_a_patch_is_cut_from_image_and_mask_at_the_same_place():
    """And half of the pieces hold a voxel of the only lesion, though it is small."""
    masks = torch.zeros(200, 40, 40, dtype=torch.int64)
    masks[:, 35, 3] = 1

    images, drawn = cut(masks[:, None].float(), masks, [8, 8], torch.Generator().manual_seed(0))

    assert images.shape == (200, 1, 8, 8)
    assert torch.equal(images[:, 0].long(), drawn)
    assert 80 < int(drawn.sum()) < 130


def test_an_answer_from_patches_sees_every_voxel_and_adds_up_to_one():
    """Where a patch does not divide a side, the last piece ends with the side."""

    class Own(torch.nn.Module):
        """Says what it sees."""

        def forward(self, images):
            return torch.cat([-images, images], dim=1)

    images = torch.randn(1, 1, 20, 28, generator=torch.Generator().manual_seed(0))

    whole, pieces = answer(Own(), images, None), answer(Own(), images, [16, 8])

    assert torch.allclose(whole, pieces, atol=1e-6)
    assert torch.allclose(pieces.sum(dim=1), torch.ones(1))


@pytest.mark.parametrize("dims", [2, 3])
def test_masks_and_images_are_brought_to_the_recipes_size_together(makers, dims):
    """Half the size: a mask keeps its classes, a volume its mean, and both their place."""
    recipe = makers.mask_recipe("unet" if dims == 2 else "unet-3d", 16, dims)
    masks = torch.zeros(1, *[32] * dims, dtype=torch.uint8)
    masks[(0, *[slice(8, 16)] * dims)] = 2

    fitted = fit_masks(masks, recipe)
    images = prepare(masks[:, None].float(), recipe)

    assert set(fitted.unique().tolist()) == {0, 2}
    assert int((fitted == 2).sum()) == 4**dims
    there = (images[:, 0] * 0.25 + 0.5).round().long()
    assert torch.equal(there, fitted)


def test_a_better_drawing_costs_less_and_an_empty_mask_has_a_loss():
    """The loss falls from wrong over undecided to right, with and without a lesion."""
    for wanted in (torch.zeros(2, 8, 8, dtype=torch.int64), torch.eye(8).long().repeat(2, 1, 1)):
        right = torch.stack([1 - wanted, wanted], dim=1).float() * 8 - 4

        losses = [float(dice_and_cross_entropy(x, wanted)) for x in (right, right * 0, -right)]

        assert losses == sorted(losses)
        assert losses[0] < losses[1] < losses[2]


def counted(*rows):
    """Overlaps of one class from (drawn, true, both) of each patient."""
    return Overlaps(*(np.array(column, np.int64)[:, None] for column in zip(*rows, strict=True)))


def test_a_patient_counts_once_and_voxels_of_all_images_are_added(makers):
    """Two images of one patient: (2 * 3) / (4 + 4), not the mean of two values."""
    images = np.zeros((3, 1, 16, 16), np.float32)
    masks = np.zeros((3, 16, 16), np.uint8)
    images[0, 0, 0, :3], masks[0, 0, :3] = 1, 1
    images[1, 0, 0, 0], masks[1, 0, 5] = 1, 1
    part = (images, np.ones((3, 1), np.float32))
    splits = dict.fromkeys(("train", "validation", "test"), part)
    data = MemoryDataset(
        "segmentation", ["lesion"], splits,
        {"test": ["a", "a", "b"]}, dict.fromkeys(splits, masks),
    )  # fmt: skip
    recipe = makers.mask_recipe(preprocessing={"mean": "0.5", "std": "0.5"})

    class Bright(torch.nn.Module):
        """Draws what is bright."""

        def forward(self, images):
            return torch.cat([-images, images], dim=1)

    found = overlap_patients(Bright(), Split(data, "test", recipe), recipe)

    assert (found.drawn[:, 0].tolist(), found.true[:, 0].tolist()) == ([4, 0], [4, 0])
    assert found.dice()[0, 0] == pytest.approx(2 * 3 / (4 + 4))
    assert np.isnan(found.dice()[1, 0])


def test_empty_masks_are_counted_apart_and_lift_no_overlap(makers):
    """Dice speaks of those who have a lesion; those who have none are left empty, or not."""
    found = counted((10, 10, 5), (0, 10, 0), (0, 0, 0), (0, 0, 0), (3, 0, 0))

    told = measure_masks(found, makers.mask_recipe(), min_cell=1, names=NAMES)

    assert (told["dice"]["value"], told["dice"]["n"]) == (Decimal("0.25"), 2)
    assert (told["detected"]["value"], told["detected"]["n"]) == (Decimal("0.5"), 2)
    assert (told["left_empty"]["value"], told["left_empty"]["n"]) == (Decimal("0.666667"), 3)
    assert all(value["positives"] is None for value in told.values())


@pytest.mark.parametrize(("ill", "healthy"), [(4, 10), (10, 4), (0, 0), (0, 10)])
def test_a_count_below_the_floor_is_not_shown_with_anything_that_rests_on_it(makers, ill, healthy):
    """Neither four ill nor four healthy patients can be seen."""
    rows = [(5, 5, 5)] * ill + [(0, 0, 0)] * healthy
    found = counted(*rows) if rows else Overlaps(*np.zeros((3, 0, 1), np.int64))

    told = measure_masks(found, makers.mask_recipe(), min_cell=5, names=NAMES)

    assert told["dice"] == told["detected"]
    assert (told["dice"] == NOTHING) == (ill < 5)
    assert (told["left_empty"] == NOTHING) == (healthy < 5)


def test_every_class_of_a_mask_has_its_own_value(makers):
    """`dice` is the mean over classes; a class that too few have takes the mean with it."""
    both = np.array([[4, 0], [0, 3], [2, 0], [0, 0]])
    found = Overlaps(both, np.array([[4, 0], [4, 3], [2, 0], [0, 0]]), both)
    recipe = makers.mask_recipe(classes=["lesion", "cyst"])
    names = ["dice", "dice.lesion", "dice.cyst", "left_empty.cyst"]

    told = measure_masks(found, recipe, min_cell=1, names=names)

    assert told["dice.lesion"]["value"] == Decimal("0.666667")
    assert (told["dice.cyst"]["value"], told["dice.cyst"]["n"]) == (1, 1)
    assert told["dice"]["value"] == Decimal("0.833333")
    assert told["left_empty.cyst"]["n"] == 3
    assert measure_masks(found, recipe, min_cell=2, names=["dice"])["dice"] == NOTHING


def test_an_interval_is_that_of_the_bootstrap_and_holds_its_value():
    """For many patients it is the normal one; where all agree it is not a point."""
    values = np.random.default_rng(1).beta(8, 2, (400, 1))

    found, same = bootstrap(values, 0), bootstrap(np.ones((12, 1)), 0)

    half = 1.96 * values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.1)
    assert found == bootstrap(values, 0) != bootstrap(values, 1)
    assert same.high == 1
    assert same.low < 0.8


def test_values_of_masks_are_ones_the_log_takes(makers):
    """Six places, no exponent, counts; names that the charter allows and no other."""
    first = job(makers.mask_recipe(), metrics=["dice", "local.dice"], baseline_rounds=1)

    metrics = handle_on(makers.drawn(empty=2), replace(first, op="evaluate")).metrics

    assert {name for _, _, values in metrics for name in values} == {"dice", "local.dice"}
    for _, _, values in metrics:
        for claim in values.values():
            plain = {k: format(v, "f") if isinstance(v, Decimal) else v for k, v in claim.items()}
            assert MetricValue.model_validate(plain).n == 6


def test_segments_of_another_hospital_are_refused(makers):
    """The same number would mean another organ."""
    data = makers.drawn(classes=("nodule",))

    with pytest.raises(Refused, match=r"dataset\.task"):
        handle_on(data, job(makers.mask_recipe()))


def test_images_with_masks_are_refused_by_a_recipe_for_volumes(makers):
    """Rows are not slices."""
    with pytest.raises(Refused, match=r"dataset\.shape"):
        handle_on(makers.drawn(), job(makers.mask_recipe("unet-3d", 16, 3)))


def test_masks_of_several_hospitals_are_read_as_one_pool(makers):
    """Each row's mask is its own hospital's."""
    parts = [makers.drawn(3, seed=1), makers.drawn(3, seed=2)]
    pool = Pool(parts)

    rows = pool.rows("test")
    masks = pool.masks(rows[::-1])

    expected = np.concatenate([part.masks(part.rows("test")) for part in parts])[::-1]
    assert np.array_equal(masks, expected)
