"""Masks trained with noise: one patient's image and mask move a step by the clip at most."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from compliance.records.recipe import layout_of
from site_node.training import privacy
from site_node.training.datasets import Split
from site_node.training.networks import build
from site_node.training.pooled import mean_dice, overlaps_on
from site_node.training.privacy import train_with_noise
from site_node.training.randomness import Randomness
from site_node.training.session import Job, handle_on
from site_node.training.vectors import start_vector
from site_node.training.work import Noise

TERMS = {"sigma": "1", "clip": "0.01", "batch": 8}
NAMES = ["dice", "detected", "left_empty"]


class Calm(Randomness):
    """Draws by a known key and adds nothing."""

    def __init__(self) -> None:
        super().__init__(b"k" * 32)

    def normal(self, count: int) -> np.ndarray:
        """No noise."""
        return np.zeros(count)


def noisy(makers: Any, **changes: Any) -> Any:
    """Masks from pieces, with noise, plain gradient steps of rate 1, nothing drawn anew."""
    sgd = {"name": "sgd", "lr": "1", "momentum": "0", "weight_decay": "0"}
    still = {"flip": False, "rotate": "0", "shift": "0", "noise": "0"}
    terms = {"dp": TERMS, "optimiser": sgd, "augment": still, "preprocessing": {"patch": [16, 16]}}
    return makers.mask_recipe("unet", 24, **(terms | changes))


def step(recipe: Any, data: Any, steps: int = 1) -> torch.Tensor:
    """How far a training without noise moves the weights, as the sum of clipped gradients."""
    torch.manual_seed(0)
    network = build("unet_gn", {}, channels=1, outputs=2)
    before = [value.detach().clone() for value in network.parameters()]
    noise = Noise(sigma="1", clip=TERMS["clip"], sample_rate="1", steps=steps)
    train_with_noise(network, Split(data, "train", recipe), recipe, noise, chance=Calm())
    pairs = zip(network.parameters(), before, strict=True)
    return torch.cat([(now - then).detach().reshape(-1) for now, then in pairs]) * TERMS["batch"]


def test_one_patients_mask_moves_a_step_by_the_clip_at_most(makers: Any) -> None:
    """With one patient less the sum moves by the clip, whatever the mask says."""
    recipe, many, fewer = noisy(makers), makers.drawn(8, 24), makers.drawn(8, 24)
    fewer._rows = {**fewer._rows, "train": fewer._rows["train"][:-1]}

    whole, less = step(recipe, many), step(recipe, fewer)

    assert 0.009 < float((whole - less).norm()) <= 0.01 * (1 + 1e-3)
    assert float(whole.norm()) > 0.02


def test_a_mask_that_says_the_opposite_is_clipped_as_well(makers: Any) -> None:
    """A hostile or wrong mask counts no more than any other: twice the clip from end to end."""
    recipe, honest, hostile = noisy(makers), makers.drawn(8, 24), makers.drawn(8, 24)
    masks = hostile._masks.copy()
    masks[hostile.rows("train")[-1]] = 1 - masks[hostile.rows("train")[-1]]
    hostile._masks = masks

    found = float((step(recipe, honest) - step(recipe, hostile)).norm())

    assert 0 < found <= 2 * 0.01 * (1 + 1e-3)


def test_a_draw_in_parts_gives_the_sum_of_the_whole(
    makers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only memory depends on how many are held at a time."""
    recipe, data = noisy(makers), makers.drawn(8, 24)
    parts = step(recipe, data)
    monkeypatch.setattr(privacy, "DRAWN_AT_ONCE", 3)
    odd = step(recipe, data)

    assert torch.allclose(parts, odd, atol=1e-6)
    assert float(parts.norm()) > 0


@pytest.mark.parametrize(("name", "dims"), [("unet", 2), ("unet-3d", 3), ("basic-unet", 2)])
def test_masks_are_trained_with_noise_like_everything_else(
    makers: Any, name: str, dims: int
) -> None:
    """The reserved steps, patients counted, the masks' own values told."""
    recipe = makers.mask_recipe(name, 16, dims, dp=TERMS)
    layout = layout_of(recipe)
    noise = Noise(sigma="1", clip=TERMS["clip"], sample_rate="0.5", steps=2)
    job = Job(
        "train", recipe, layout, start_vector(layout, 5), Path(), 11, NAMES, 1, None, noise
    )  # fmt: skip

    one, other = (handle_on(makers.drawn(8, 16, dims), job) for _ in range(2))

    assert (one.n, one.patients, one.steps) == (8, 8, 2)
    assert np.isfinite(one.delta).all()
    assert one.delta.tobytes() != other.delta.tobytes()
    assert any("dice" in values for _, _, values in one.metrics)


def test_a_little_noise_still_learns_to_draw(makers: Any) -> None:
    """It is training: with sixty patients and weak noise the overlap grows clearly."""
    recipe = makers.mask_recipe(
        "unet", 16,
        dp={"sigma": "0.3", "clip": "1", "batch": 30},
        optimiser={"name": "adam", "lr": "0.01"}, augment={"noise": "0"},
    )  # fmt: skip
    data, layout = makers.drawn(60, 16), layout_of(recipe)
    noise = Noise(sigma="0.3", clip="1", sample_rate="0.5", steps=30)
    start = start_vector(layout, 5)
    job = Job("train", recipe, layout, start, Path(), 11, NAMES, 1, None, noise)

    model = (start.astype(np.float64) + handle_on(data, job).delta).astype(np.float32)

    before, after = (
        mean_dice([overlaps_on(vector, data, "test", recipe)]) for vector in (start, model)
    )
    assert after > before + 0.2
