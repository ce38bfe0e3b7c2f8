"""Local training: a network, a split, a recipe and a seed; the same four give the same bytes.

Fresh optimiser each time; FedProx pulls towards the start; no clock, no global random state left
behind.

Source: design/federation.md §6.5, §7.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from compliance.errors import NotReady, Refused
from compliance.records.recipe import Recipe
from compliance.records.training import Optimiser
from compliance.rules.noise import refused_noise
from site_node.training.augmentation import augment, augment_both
from site_node.training.datasets import IntArray, Split
from site_node.training.losses import loss_of
from site_node.training.patches import cut
from site_node.training.scaffold import Shift, check_scaffold

Progress: TypeAlias = Callable[[str, float], None]


@contextmanager
def repeatable(seed: int, threads: int) -> Iterator[None]:
    """Run the block with deterministic kernels, a seed and a fixed number of threads.

    What the process had before comes back afterwards. The debug mode sets the very same switch as
    `use_deterministic_algorithms`, without importing torch's compiler for two seconds.
    """
    strict, before = torch.get_deterministic_debug_mode(), torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_deterministic_debug_mode("error")
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_deterministic_debug_mode(strict)
            torch.set_num_threads(before)


def check_supported(recipe: Recipe) -> None:
    """Refuse what this version cannot train, before any image is read.

    Raises:
        Refused: noise by a network that cannot train with it, or SCAFFOLD with what it is not
            defined for.
    """
    reason = refused_noise(recipe) if recipe.dp is not None else None
    if reason:
        raise Refused("recipe.dp", recipe.network.name, sentence=f"No noise here: {reason}.")
    check_scaffold(recipe)


def train(
    network: nn.Module,
    split: Split,
    recipe: Recipe,
    *,
    seed: int,
    rounds: int = 1,
    progress: Progress | None = None,
    shift: Shift | None = None,
) -> int:
    """Train a network in place for as long as the recipe says; return the steps taken.

    Args:
        network: start weights; afterwards the trained ones.
        split: training cases, at least one.
        recipe: loss, optimiser, augmentation, epochs or steps.
        seed: order of the cases, augmentation and dropout.
        rounds: how many rounds' worth of training in a row (for baselines).
        progress: told the share that is done after each step.
        shift: SCAFFOLD's part in each step.

    Raises:
        NotReady: the loss is no longer a number.
    """
    if recipe.dp is not None:
        raise Refused("recipe.dp", sentence="A recipe with noise never trains without it.")
    plan = _plan(len(split), recipe, rounds)
    loss = loss_of(recipe, split.labels())
    optimiser = _optimiser(network, recipe.optimiser)
    pull = _Pull(network, float(recipe.local.mu))
    draws = torch.Generator().manual_seed(seed)
    network.train()
    for step, places in enumerate(_orders(len(split), recipe.local.batch, plan, seed)):
        images, labels = changed(*split.take(places), recipe, draws)
        optimiser.zero_grad()
        value = loss(network(images), labels)
        _check_finite(value)
        value.backward()
        pull.add()
        if shift is not None:
            shift.add()
        optimiser.step()
        if progress is not None:
            progress("training", (step + 1) / plan)
    return plan


def changed(
    images: Tensor, labels: Tensor, recipe: Recipe, draws: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Change a batch as the recipe says; a mask is cut and moves with its image."""
    if not recipe.draws:
        return augment(images, recipe.augment, draws), labels
    images, masks = cut(images, labels, recipe.preprocessing.patch, draws)
    images, moved = augment_both(images, masks, recipe.augment, draws)
    return images, masks if moved is None else moved


class _Pull:
    """FedProx: the gradient of mu/2 * |w - w0|^2, added to that of the loss."""

    def __init__(self, network: nn.Module, mu: float) -> None:
        self._mu = mu
        self._pairs = [(p, p.detach().clone()) for p in network.parameters()] if mu else []

    def add(self) -> None:
        """Add the pull to the gradients at hand."""
        with torch.no_grad():
            for value, start in self._pairs:
                if value.grad is not None:
                    value.grad.add_(value - start, alpha=self._mu)


def _plan(cases: int, recipe: Recipe, rounds: int) -> int:
    if recipe.local.steps is not None:
        return recipe.local.steps * rounds
    return (recipe.local.epochs or 1) * math.ceil(cases / recipe.local.batch) * rounds


def _orders(cases: int, size: int, steps: int, seed: int) -> Iterator[IntArray]:
    """Yield `steps` batches of places; each pass goes through all cases in a new order."""
    random = np.random.default_rng(seed)
    while steps > 0:
        order = random.permutation(cases)
        for start in range(0, cases, size):
            if steps == 0:
                return
            steps -= 1
            yield order[start : start + size]


def _optimiser(network: nn.Module, terms: Optimiser) -> torch.optim.Optimizer:
    rate, decay, momentum = float(terms.lr), float(terms.weight_decay), float(terms.momentum)
    values = network.parameters()
    if terms.name == "sgd":
        return torch.optim.SGD(values, lr=rate, weight_decay=decay, momentum=momentum)
    kind = torch.optim.Adam if terms.name == "adam" else torch.optim.AdamW
    return kind(values, lr=rate, weight_decay=decay)


def _check_finite(value: Tensor) -> None:
    if not bool(torch.isfinite(value)):
        raise NotReady(
            "The training diverged: the loss is no longer a number.",
            "Agree on a recipe with a smaller learning rate.",
        )
