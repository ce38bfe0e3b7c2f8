"""Networks for tables: logistic regression, and a small network of linear layers.

Nothing in place, no buffers: both train with differential privacy.

Source: design/federation.md §7.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from compliance.records.linear import names_of, sizes_of
from compliance.records.recipe import Recipe


class LinearNetwork(nn.Module):
    """Linear layers with ReLU between them; without a hidden layer it is logistic regression.

    Args:
        sizes: inputs, values of every hidden layer, outputs.
    """

    def __init__(self, sizes: list[int]) -> None:
        super().__init__()
        self._names = names_of(sizes)
        for name, (before, after) in zip(self._names, pairwise(sizes), strict=True):
            self.add_module(name, nn.Linear(before, after))

    def forward(self, cases: Tensor) -> Tensor:
        """Return one row of logits per case, float32 (B, outputs), from (B, inputs)."""
        *hidden, head = (self.get_submodule(name) for name in self._names)
        for layer in hidden:
            cases = torch.relu(layer(cases))
        return head(cases)


def linear_network(recipe: Recipe) -> LinearNetwork:
    """Build the network of a recipe for tables, with arbitrary weights.

    Raises:
        Malformed: a parameter of the network is unknown or outside its bounds.
    """
    network, inputs = recipe.network, recipe.preprocessing.size[0]
    return LinearNetwork(sizes_of(network.name, network.params, inputs, recipe.outputs))
