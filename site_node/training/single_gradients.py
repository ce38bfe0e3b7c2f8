"""Gradients of single cases, clipped and hidden in noise; the one place that knows Opacus.

Source: design/federation.md §8.1; Opacus 1.6, hooks mode.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from compliance.errors import Refused
from site_node.training.randomness import Randomness
from site_node.training.work import Noise

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it warns about parts of torch that are not used here
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

LEFT_BEHIND = ("grad_sample", "summed_grad", "_forward_counter", "_current_grad_sample")
CLOSE = 1e-5
"""Largest relative difference between gradients taken together and one by one."""


class NoisyOptimizer(DPOptimizer):
    """Opacus' clipping and adding up, with noise of the operating system's key stream.

    Args:
        plain: the optimiser that moves the weights.
        noise: sigma, clip, chance of a patient.
        chance: where the noise comes from.
        batch: the expected draw, by which the sum is divided.
    """

    def __init__(
        self, plain: torch.optim.Optimizer, noise: Noise, chance: Randomness, batch: int
    ) -> None:
        super().__init__(
            plain,
            noise_multiplier=float(noise.sigma),
            max_grad_norm=float(noise.clip),
            expected_batch_size=batch,
            loss_reduction="mean",
        )
        self._chance = chance

    def add_noise(self) -> None:
        """Hide the sum of the clipped gradients: sd = sigma · clip in every value."""
        spread = self.noise_multiplier * self.max_grad_norm
        for value in self.params:
            drawn = torch.from_numpy(spread * self._chance.normal(value.numel()))
            value.grad = value.summed_grad + drawn.to(value.dtype).view_as(value)


@contextmanager
def single_gradients(network: nn.Module) -> Iterator[nn.Module]:
    """Let every parameter collect one gradient per case (`grad_sample`) within the block.

    Raises:
        Refused: `recipe.dp`: the network has buffers, which nobody clips.
    """
    if list(network.buffers()):
        raise Refused("recipe.dp", "a network with buffers", "none: nothing clips them")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a hook on images that need no gradient
        single: Any = GradSampleModule(network, loss_reduction="mean")
        try:
            yield single
        finally:
            single.remove_hooks()
            for value in network.parameters():
                for name in LEFT_BEHIND:
                    value.__dict__.pop(name, None)


def farthest(network: nn.Module, images: Tensor, wanted: Tensor) -> float:
    """Compare gradients that were taken together with those of each case alone.

    In double precision: rounded to single, a value beside zero may pass a ReLU in the batch and not
    alone, which says nothing of the method.

    Args:
        network: any network of the registry, in any state; a copy of it is looked at.
        images: (B, C, …), at least two.
        wanted: logits that the network should have given, (B, outputs) or (B, outputs, …).

    Returns:
        The largest difference, relative to the norm of that case's whole gradient.

    Raises:
        Exception: whatever the network or Opacus raises where it cannot be done.
    """
    network, images, wanted = copy.deepcopy(network).double(), images.double(), wanted.double()
    _without_chance(network)
    alone = [_gradient(network, images[i : i + 1], wanted[i : i + 1]) for i in range(len(images))]
    network.zero_grad(set_to_none=True)
    with single_gradients(network) as single:
        _distance(single(images), wanted).backward()
        values: list[Any] = list(network.parameters())
        parts = [value.grad_sample.reshape(len(images), -1) for value in values]
        together = torch.cat(parts, dim=1).detach().clone()
    gaps = [
        float((mine - other).norm() / other.norm())
        for mine, other in zip(together, alone, strict=True)
    ]
    return max(gaps)


def _without_chance(network: nn.Module) -> None:
    """Let layers with weights train and nothing else: dropout would differ from case to case."""
    for module in network.modules():
        module.training = any(True for _ in module.parameters(recurse=False))


def _gradient(network: nn.Module, image: Tensor, wanted: Tensor) -> Tensor:
    network.zero_grad(set_to_none=True)
    _distance(network(image), wanted).backward()
    return torch.cat([value.grad.reshape(-1).clone() for value in network.parameters()])  # type: ignore[union-attr]  # every value takes part


def _distance(given: Tensor, wanted: Tensor) -> Tensor:
    return torch.nn.functional.mse_loss(given, wanted)
