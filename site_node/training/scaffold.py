"""SCAFFOLD in a hospital's steps: w <- w - lr * (gradient - control).

The control variate is what this hospital's gradients differ from everybody's; it comes from the
gate, which keeps it between rounds, and never leaves.

Source: design/federation.md §6.5; Karimireddy et al. 2020, arXiv 1910.06378, with h = c_i - c.
"""

from __future__ import annotations

from decimal import Decimal

import torch
from torch import nn

from compliance.errors import Malformed, Refused
from compliance.records.layout import Layout
from compliance.records.recipe import Recipe
from site_node.training.vectors import FloatArray


def check_scaffold(recipe: Recipe) -> None:
    """Refuse what SCAFFOLD is not defined with, before any case is read.

    The control variate is a mean of gradients, told from the way that plain steps went: momentum,
    adaptive steps or a pull would make it another number. It also rests on training cases outside
    the account of privacy.

    Raises:
        Refused: SCAFFOLD is asked for with noise, a pull, momentum, or another optimiser than SGD.
    """
    if not recipe.local.scaffold:
        return
    if recipe.dp is not None:
        raise Refused("recipe.scaffold", found="scaffold with dp", agreed="one of the two")
    plain = recipe.optimiser.name == "sgd" and not Decimal(recipe.optimiser.momentum)
    if not plain or Decimal(recipe.local.mu):
        found = f"{recipe.optimiser.name}, momentum {recipe.optimiser.momentum}, mu"
        raise Refused("recipe.scaffold", found, agreed="sgd, momentum 0, mu 0")


class Shift:
    """Takes the control variate off the gradients at hand.

    Args:
        network: what is trained.
        layout: the order of the control's values.
        control: float32, shape (layout.count,).

    Raises:
        Malformed: another length.
    """

    def __init__(self, network: nn.Module, layout: Layout, control: FloatArray) -> None:
        if control.shape != (layout.count,):
            raise Malformed("control variate", f"it must have {layout.count} values")
        params = dict(network.named_parameters())
        self._pairs = [
            (params[entry.name], torch.from_numpy(part.reshape(entry.shape)))
            for entry in layout.entries
            if entry.role == "param"
            for part in [control[entry.offset : entry.offset + entry.count].copy()]
        ]

    def add(self) -> None:
        """Turn each gradient into gradient - control."""
        with torch.no_grad():
            for value, control in self._pairs:
                if value.grad is not None:
                    value.grad.sub_(control)
