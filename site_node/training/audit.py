"""A test of what training with noise claims: guess who was in, count how often it is right.

Made-up patients are in or out by the toss of a coin. One training of the very code that hospitals
run, one guess per patient from how much better the model knows them afterwards: more right guesses
than epsilon allows refute the claim. Never on data of patients.

Source: design/federation.md §8.3; Steinke, Nasr & Jagielski 2023 (arXiv 2305.08846).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compliance.records.recipe import Recipe, shipped, with_changes
from site_node.training.accounting import epsilon_of
from site_node.training.datasets import Split
from site_node.training.learning import repeatable
from site_node.training.privacy import train_with_noise
from site_node.training.work import Noise

SIDE = 15
CANARIES = 200
CLAIM = Noise(sigma="6", clip="1", sample_rate="0.25", steps=60)
DELTA = Decimal("0.00001")
DOUBT = 0.05
"""One minus the confidence."""


@dataclass(frozen=True)
class Found:
    """What an audit came to.

    Args:
        canaries: made-up patients, each in or out by a coin.
        guesses: how many were guessed; the others were too close to call.
        right: guesses that were right.
        claimed: epsilon of the accountant.
        bound: epsilon is at least this, at 95 %.
        reach: the bound if every guess had been right: a larger claim cannot be refuted.
    """

    canaries: int
    guesses: int
    right: int
    claimed: float
    bound: float
    reach: float

    @property
    def refuted(self) -> bool:
        """Whether more was guessed than the claim allows."""
        return self.bound > self.claimed

    def plain(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "delta": str(DELTA), "refuted": self.refuted}


def chance_of(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """The largest chance of so many right guesses while epsilon and delta hold.

    Args:
        canaries: examples that were in or out by a coin.
        guesses: how many were guessed.
        right: how many of them right, or more.
        epsilon: of the claim.
        delta: of the claim.

    Source: arXiv 2305.08846, Theorem 5.2.
    """
    likely = _binomial(guesses, epsilon)
    alone = float(likely[right:].sum())
    below = np.cumsum(likely[:right][::-1])
    steepest = float(np.max(below / np.arange(1, right + 1), initial=0.0))
    return min(1.0, alone + 2 * canaries * delta * steepest)


def _binomial(guesses: int, epsilon: float) -> NDArray[np.float64]:
    """Chance of 0 … `guesses` right ones, each right with chance 1 / (1 + exp(-epsilon))."""
    yes, no = -math.log1p(math.exp(-epsilon)), -epsilon - math.log1p(math.exp(-epsilon))
    ways = [
        math.lgamma(guesses + 1) - math.lgamma(k + 1) - math.lgamma(guesses - k + 1)
        for k in range(guesses + 1)
    ]
    count = np.arange(guesses + 1)
    return np.exp(np.asarray(ways) + count * yes + (guesses - count) * no)


def lower_bound(canaries: int, guesses: int, right: int, delta: float, doubt: float) -> float:
    """The epsilon below which so many right guesses are less likely than the doubt."""
    low, high = 0.0, 1.0
    while chance_of(canaries, guesses, right, high, delta) < doubt:
        low, high = high, high * 2
    for _ in range(40):
        middle = (low + high) / 2
        below = chance_of(canaries, guesses, right, middle, delta) < doubt
        low, high = (middle, high) if below else (low, middle)
    return low


@dataclass(frozen=True)
class _Spec:
    task: str = "binary"
    classes: Sequence[str] = ("normal", "pneumonia")
    shape: Sequence[int] = (1, SIDE, SIDE)


class _Canaries:
    """Patients who share no pixel: each leaves a trace that nobody else touches."""

    def __init__(self, places: NDArray[np.int64], labels: NDArray[np.int64]) -> None:
        self.spec = _Spec()
        self._places, self._labels = places, labels

    def rows(self, split: str) -> NDArray[np.int64]:
        """Everybody trains."""
        return np.arange(len(self._places) if split == "train" else 0, dtype=np.int64)

    def batch(self, rows: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Dark images with one bright pixel."""
        images = np.full((len(rows), SIDE * SIDE), 0.5, np.float32)
        images[np.arange(len(rows)), self._places[rows]] = 1.0
        return images.reshape(-1, 1, SIDE, SIDE), self._labels[rows]

    def patients(self, rows: NDArray[Any]) -> list[str]:
        """One patient an image."""
        return [str(row) for row in rows]


def audit(seed: int | None = None, claim: Noise = CLAIM) -> Found:
    """Train once on made-up patients and guess who was among them.

    Args:
        seed: of coins and labels; the noise never has one. Without it another test each time.
        claim: noise, rate and steps; the accountant says what epsilon they claim.
    """
    toss = np.random.default_rng(seed)
    labels = toss.integers(0, 2, CANARIES)
    inside = toss.random(CANARIES) < 0.5  # noqa: PLR2004 - a fair coin
    everybody = np.arange(CANARIES, dtype=np.int64)
    recipe = _recipe(claim)
    with repeatable(0, 1):
        last = nn.Linear(SIDE * SIDE, 1)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        network = nn.Sequential(nn.Flatten(), last)
        whole = Split(_Canaries(everybody, labels), "train", recipe)
        before = _losses(network, whole)
        chosen = Split(_Canaries(everybody[inside], labels[inside]), "train", recipe)
        train_with_noise(network, chosen, recipe, claim)
        gain = before - _losses(network, whole)
    found = [_guess(gain[labels == label], inside[labels == label]) for label in (0, 1)]
    guesses, right = sum(made for made, _ in found), sum(true for _, true in found)
    spell = (Decimal(claim.sigma), Decimal(claim.sample_rate), claim.steps)
    known = (CANARIES, guesses)
    return Found(
        canaries=CANARIES,
        guesses=guesses,
        right=right,
        claimed=epsilon_of([spell], DELTA),
        bound=lower_bound(*known, right, float(DELTA), DOUBT),
        reach=lower_bound(*known, guesses, float(DELTA), DOUBT),
    )


def _recipe(claim: Noise) -> Recipe:
    """The shipped recipe with noise, for images of this size, with plain steps."""
    return with_changes(
        shipped()["cnn2d-small-dp"],
        {
            "preprocessing": {"size": [SIDE, SIDE], "mean": "0.5", "std": "0.5"},
            "optimiser": {"name": "sgd", "lr": "10", "momentum": "0", "weight_decay": "0"},
            "dp": {"sigma": claim.sigma, "clip": claim.clip, "batch": 25},
        },
    )


def _losses(network: nn.Module, split: Split) -> NDArray[np.float64]:
    with torch.no_grad():
        images, wanted = split.take(np.arange(len(split)))
        found: Tensor = nn.functional.binary_cross_entropy_with_logits(
            network(images), wanted, reduction="none"
        )
    return found[:, 0].to(torch.float64).numpy()


def _guess(gain: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[int, int]:
    """Call the quarter that gained most *in* and the quarter that gained least *out*.

    Among patients of one label: what the bias learns from everybody lifts all of them alike.
    """
    order, quarter = np.argsort(gain), len(gain) // 4
    right = int((~inside[order[:quarter]]).sum()) + int(inside[order[-quarter:]].sum())
    return 2 * quarter, right
