"""Training with noise: one patient cannot move the update further than the clip."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from compliance.errors import Refused
from compliance.records.recipe import Recipe, layout_of, shipped, with_changes
from compliance.rules.noise import why_not
from site_node.training import audit as auditing
from site_node.training.datasets import Split
from site_node.training.networks import build
from site_node.training.privacy import Patients, check_noise, train_with_noise
from site_node.training.randomness import Randomness
from site_node.training.session import Job, handle_on
from site_node.training.single_gradients import CLOSE, NoisyOptimizer, farthest, single_gradients
from site_node.training.vectors import start_vector
from site_node.training.work import Noise
from tests.site_node.training.hospital import MemoryDataset

CLASSES = ("normal", "pneumonia")
NOISE = Noise(sigma="1", clip="1", sample_rate="0.2", steps=3)


def recipe(**changes: object) -> Recipe:
    """The shipped recipe with noise, plain gradient steps of rate 1."""
    sgd = {"name": "sgd", "lr": "1", "momentum": "0", "weight_decay": "0"}
    return with_changes(shipped()["cnn2d-small-dp"], {"optimiser": sgd, **changes})


def images(count: int, *, times: int = 1) -> MemoryDataset:
    """A hospital with so many patients, each with so many images."""
    random = np.random.default_rng(count)
    labels = random.integers(0, 2, count * times)
    train = random.random((count * times, 1, 28, 28)).astype(np.float32)
    names = [f"p{number // times}" for number in range(count * times)]
    held_out = (train[:30], labels[:30])
    splits = {"train": (train, labels), "validation": held_out, "test": held_out}
    return MemoryDataset("binary", CLASSES, splits, {"train": names})


def job(**changes: object) -> Job:
    """A training job with noise."""
    made, layout = recipe(), layout_of(recipe())
    vector = start_vector(layout, 5)
    first = Job("train", made, layout, vector, Path("unused"), 11, ["auroc"], 5, None, NOISE)
    return replace(first, **changes)


def moved(data: MemoryDataset, noise: Noise, key: bytes = b"k" * 32) -> np.ndarray:
    """How far a training with known randomness moves a small network."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
    with torch.no_grad():
        for value in network.parameters():
            value.zero_()
    terms = {"sigma": noise.sigma, "clip": noise.clip, "batch": 64}
    split = Split(data, "train", recipe())
    train_with_noise(network, split, recipe(dp=terms), noise, chance=Randomness(key))
    return torch.cat([value.detach().reshape(-1) for value in network.parameters()]).numpy()


def test_an_update_with_noise_has_the_reserved_steps_and_counts_patients() -> None:
    """Two images of a patient are one case; the held-out metrics go along."""
    result = handle_on(images(40, times=2), job())

    assert (result.n, result.patients, result.steps) == (40, 40, 3)
    assert np.isfinite(result.delta).all()
    assert result.metrics


def test_the_same_order_is_trained_with_other_noise_each_time() -> None:
    """Noise that follows from the order's seed could be taken away again."""
    data, first = images(40), job()

    one, other = handle_on(data, first), handle_on(data, first)

    assert one.delta.tobytes() != other.delta.tobytes()


def test_what_was_random_before_is_so_afterwards() -> None:
    """The process goes on with the numbers it would have drawn."""
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    handle_on(images(40), job())

    assert torch.equal(torch.rand(1), wanted)


@pytest.mark.parametrize(
    ("made", "noise"),
    [(None, NOISE), (recipe(), None), (recipe(), replace(NOISE, sigma="0.5"))],
)
def test_noise_and_account_go_together(made: Recipe | None, noise: Noise | None) -> None:
    """No noise without a reservation, no reservation without noise, and none but the agreed."""
    with pytest.raises(Refused):
        check_noise(made or shipped()["cnn2d-small"], noise)


def test_a_local_model_is_not_measured_beside_a_study_with_noise() -> None:
    """Trained without noise, its values would tell of training cases."""
    last = job(op="evaluate", noise=None, baseline_rounds=2, metrics=["auroc", "local.auroc"])

    names = {name for _, _, values in handle_on(images(40), last).metrics for name in values}

    assert names == {"auroc"}


def test_one_patient_moves_a_step_by_the_clip_at_most() -> None:
    """Everybody is drawn, without noise: with one patient more the sum moves by no more than 1."""
    still = Noise(sigma="1", clip="1", sample_rate="1", steps=1)
    many, fewer = images(40), images(40)
    fewer._rows = {**fewer._rows, "train": fewer._rows["train"][:-1]}
    calm = torch.zeros(1)

    class Calm(Randomness):
        """Draws everybody and adds nothing."""

        def normal(self, count: int) -> np.ndarray:
            """No noise."""
            return np.zeros(count) + float(calm)

    moves = []
    for data in (many, fewer):
        network = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
        with torch.no_grad():
            for value in network.parameters():
                value.zero_()
        train_with_noise(network, Split(data, "train", recipe()), recipe(), still, chance=Calm())
        parts = [value.detach().reshape(-1) for value in network.parameters()]
        moves.append(torch.cat(parts) * 64)  # the step is the sum by the expected batch

    assert 0.5 < float((moves[0] - moves[1]).norm()) <= 1 + 1e-5
    assert float(moves[0].norm()) > 1


def test_a_draw_of_nobody_is_a_step_of_noise() -> None:
    """Who is absent must not be seen from a step that was left out."""
    nobody = Noise(sigma="1", clip="1", sample_rate="0.000001", steps=4)

    found = moved(images(10), nobody)

    assert found.std() == pytest.approx(2 / 64, rel=0.1)  # four steps of sd 1 by the batch of 64


def test_noise_in_every_value_has_the_agreed_spread() -> None:
    """Sd = sigma x clip, whatever the gradients are."""
    loud = Noise(sigma="100", clip="2", sample_rate="0.5", steps=1)

    assert moved(images(10), loud).std() == pytest.approx(200 / 64, rel=0.1)


def test_a_large_draw_in_parts_is_the_same_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory decides how many gradients are held, not what comes out."""
    everybody = Noise(sigma="0.3", clip="1", sample_rate="1", steps=2)
    whole = moved(images(40), everybody)
    monkeypatch.setattr("site_node.training.privacy.AT_ONCE", 7)

    assert np.allclose(moved(images(40), everybody), whole, atol=1e-6)


def test_each_patient_is_drawn_alone_by_the_agreed_chance_with_one_image() -> None:
    """Poisson: the size of a draw differs; a patient with many images is drawn no more often."""
    names = ["many"] * 50 + [f"p{number}" for number in range(99)]
    patients = Patients(names, 0.1, Randomness(b"d" * 32))
    draws = [[names[place] for place in patients.draw()] for _ in range(2000)]
    seen = Counter(name for draw in draws for name in draw)

    assert all(len(set(draw)) == len(draw) for draw in draws)
    assert seen["many"] == pytest.approx(200, abs=60)
    assert np.var([len(draw) for draw in draws]) == pytest.approx(9, rel=0.15)
    assert np.mean([len(draw) for draw in draws]) == pytest.approx(10, rel=0.05)


def test_randomness_comes_from_the_operating_system_and_is_normal() -> None:
    """Two of them share nothing; a key that is given repeats it."""
    drawn = Randomness(b"a" * 32).normal(200_001)

    assert len(drawn) == 200_001
    assert np.array_equal(drawn, Randomness(b"a" * 32).normal(200_001))
    assert not np.array_equal(Randomness().uniform(4), Randomness().uniform(4))
    assert drawn.mean() == pytest.approx(0, abs=0.01)
    assert drawn.std() == pytest.approx(1, abs=0.01)
    assert (drawn**4).mean() == pytest.approx(3, abs=0.1)
    even = Randomness(b"b" * 32).uniform(100_000)
    assert 0 < even.min() < even.max() < 1


def test_a_network_with_buffers_is_refused() -> None:
    """Nothing clips a running mean."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4))

    with pytest.raises(Refused) as caught, single_gradients(network):
        pass

    assert caught.value.rule == "recipe.dp"


def test_nothing_of_single_cases_stays_behind() -> None:
    """Gradients of single patients end with the training."""
    network = build("cnn2d_small", {}, channels=1, outputs=1)
    train_with_noise(network, Split(images(20), "train", recipe()), recipe(), NOISE)

    left = {name for value in network.parameters() for name in value.__dict__}
    assert left <= {"_forward_counter"}


@pytest.mark.parametrize("name", ["cnn2d_small", "resnet18", "unet_gn", "segresnet"])
def test_what_is_said_of_a_network_is_what_its_backward_pass_does(name: str) -> None:
    """By a real backward: gradients together equal those of each case alone, or it fails.

    The large ones are compared in `tests/benchmarks/bench_privacy.py`.
    """
    network = build(name, {}, channels=1, outputs=2)
    torch.manual_seed(0)
    pictures = torch.rand(2, 1, 32, 32)
    wanted = torch.rand_like(network(pictures).detach())

    if why_not(name) is None:
        assert farthest(network, pictures, wanted) <= CLOSE
    else:
        with pytest.raises(RuntimeError, match="inplace"):
            farthest(network, pictures, wanted)


def test_the_self_check_of_the_audit_is_the_papers() -> None:
    """ArXiv 2305.08846, appendix D prints 0.673."""
    assert auditing.lower_bound(1000, 100, 75, 1e-4, 0.05) == pytest.approx(0.673, abs=0.001)
    assert auditing.chance_of(200, 100, 50, 0.0, 0.0) == pytest.approx(0.54, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_correct_noise_is_not_refuted(seed: int) -> None:
    """Guessing who was in is hardly better than a coin."""
    found = auditing.audit(seed)

    assert not found.refuted
    assert 1 < found.claimed < 1.5


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_that_forgets_the_noise_is_refuted(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The mutant: gradients are clipped and added up, and nothing hides the sum."""

    def nothing(self: NoisyOptimizer) -> None:
        for value in self.params:
            value.grad = value.summed_grad.view_as(value).clone()

    monkeypatch.setattr(NoisyOptimizer, "add_noise", nothing)
    found = auditing.audit(seed)

    assert found.refuted
    assert found.bound > 2
