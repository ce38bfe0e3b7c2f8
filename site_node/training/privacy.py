"""DP-SGD: training in which no single patient can be told from the update.

The unit is the patient. Each step draws every patient with the same chance (Poisson), one image of
each at random, takes the gradient of each alone, cuts it at the clip, and adds normal noise to the
sum. An empty draw is a step like any other. Nothing computed on training cases is told, the loss
least of all. Of masks a case's loss is that of its own piece, and its gradient is cut as a whole.

Source: design/federation.md §8.1; Abadi et al. 2016 (arXiv 1607.00133).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from compliance.errors import Refused
from compliance.records.recipe import Recipe
from compliance.rules.noise import refused_noise
from site_node.training.datasets import IntArray, Split
from site_node.training.learning import Progress, _optimiser, _Pull, changed
from site_node.training.losses import loss_of
from site_node.training.randomness import Randomness
from site_node.training.work import Noise

if TYPE_CHECKING:
    from site_node.training.single_gradients import NoisyOptimizer

AT_ONCE, DRAWN_AT_ONCE = 32, 4
"""Gradients of single cases, and of masks, that are held at a time; a large draw goes in parts."""


def check_noise(recipe: Recipe, noise: Noise | None) -> None:
    """Compare what was reserved with what the recipe says, before any image is read.

    Raises:
        Refused: `recipe.dp`: noise without steps of the account, or other noise than agreed, or a
            network that has no gradients of single cases.
    """
    agreed = recipe.dp
    if agreed is None and noise is None:
        return
    if agreed is None or noise is None:
        raise Refused("recipe.dp", sentence="Noise and a reservation in the account go together.")
    if (noise.sigma, noise.clip) != (agreed.sigma, agreed.clip):
        raise Refused("recipe.dp", (noise.sigma, noise.clip), (agreed.sigma, agreed.clip))
    reason = refused_noise(recipe)
    if reason:
        raise Refused("recipe.dp", recipe.network.name, sentence=f"No noise here: {reason}.")
    if recipe.local.scaffold or recipe.class_weights != "none":
        raise Refused("recipe.dp", "scaffold or class weights", "neither")


def train_with_noise(
    network: nn.Module,
    split: Split,
    recipe: Recipe,
    noise: Noise,
    *,
    chance: Randomness | None = None,
    progress: Progress | None = None,
) -> int:
    """Train a network in place for exactly the reserved steps; return them.

    Args:
        network: start weights; afterwards the trained ones. It may hold no buffers.
        split: training cases with the pseudonym of each one's patient.
        recipe: loss, optimiser, augmentation; its length and order of cases do not count here.
        noise: sigma, clip, chance of a patient to be drawn, steps.
        chance: draws of patients and noise; without it from the operating system.
        progress: told the share that is done after each step.

    Raises:
        Refused: `recipe.dp`, as `check_noise`, or the network has buffers.
    """
    from site_node.training.single_gradients import NoisyOptimizer, single_gradients  # Opacus

    check_noise(recipe, noise)
    chance = chance or Randomness()
    torch.manual_seed(chance.seed())  # dropout; the caller puts back what was there
    patients = Patients(split.patients(), float(noise.sample_rate), chance)
    network.train()
    with single_gradients(network) as single:
        optimiser = NoisyOptimizer(
            _optimiser(network, recipe.optimiser), noise, chance, batch_of(recipe)
        )
        step = _Step(single, split, recipe, optimiser, chance)
        for number in range(noise.steps):
            step.take(patients.draw())
            if progress is not None:
                progress("training", (number + 1) / noise.steps)
    return noise.steps


def batch_of(recipe: Recipe) -> int:
    """The expected draw of a recipe with noise."""
    if recipe.dp is None:
        raise Refused("recipe.dp", sentence="This recipe has no noise.")
    return recipe.dp.batch


class Patients:
    """Who takes part in a step, and with which image.

    Args:
        names: the patient of each place of the split.
        rate: chance of each patient to be drawn.
        chance: where the draws come from.
    """

    def __init__(self, names: Sequence[str], rate: float, chance: Randomness) -> None:
        _, owners = np.unique(np.asarray(names, dtype=str), return_inverse=True)
        order = np.argsort(owners, kind="stable")
        self._images: list[IntArray] = np.split(order, np.cumsum(np.bincount(owners))[:-1])
        self._rate, self._chance = rate, chance

    def draw(self) -> IntArray:
        """Places of the images of one step: each patient by the same chance, one image each."""
        drawn = np.flatnonzero(self._chance.uniform(len(self._images)) < self._rate)
        which = self._chance.uniform(len(drawn))
        chosen = [
            self._images[one][int(share * len(self._images[one]))]
            for one, share in zip(drawn, which, strict=True)
        ]
        return np.asarray(chosen, dtype=np.int64)


class _Step:
    """One step: gradients of single cases, part by part, then noise, then the optimiser."""

    def __init__(
        self,
        single: nn.Module,
        split: Split,
        recipe: Recipe,
        optimiser: NoisyOptimizer,
        chance: Randomness,
    ) -> None:
        self._single, self._split, self._recipe = single, split, recipe
        self._optimiser = optimiser
        self._loss = loss_of(recipe, torch.zeros((0, recipe.outputs)))  # no weights by class
        self._at_once = DRAWN_AT_ONCE if recipe.draws else AT_ONCE
        self._draws = torch.Generator().manual_seed(chance.seed())
        self._pull = _Pull(single, float(recipe.local.mu))

    def take(self, places: IntArray) -> None:
        """Move the weights once, by the images at these places; none is a step too."""
        for start in range(0, max(len(places), 1), self._at_once):
            end = start + self._at_once
            self._gradients(places[start:end])
            self._optimiser.signal_skip_step(end < len(places))
            if self._optimiser.pre_step():  # False: more parts of this draw follow
                self._pull.add()
                self._optimiser.original_optimizer.step()
            self._optimiser.zero_grad(set_to_none=True)

    def _gradients(self, places: IntArray) -> None:
        if len(places):
            images, labels = changed(*self._split.take(places), self._recipe, self._draws)
            self._loss(self._single(images), labels).backward()
            return
        for value in self._single.parameters():
            value.grad_sample = torch.zeros((0, *value.shape))  # type: ignore[attr-defined]
