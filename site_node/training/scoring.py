"""A trained model, loaded once, says what it makes of images or volumes; nothing is trained."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from compliance.records.recipe import Recipe, whole_layout
from site_node.training.datasets import prepare
from site_node.training.learning import repeatable
from site_node.training.patches import answer
from site_node.training.session import network_of
from site_node.training.statistics import Doubles
from site_node.training.vectors import FloatArray, load


class Scorer:
    """A model that gives scores.

    Args:
        vector: the whole model, float32, shape (whole_layout(recipe).count,).
        recipe: network, classes and preparation of its study.

    Raises:
        Malformed: vector and network do not fit.
    """

    def __init__(self, vector: FloatArray, recipe: Recipe) -> None:
        self._recipe = recipe
        self._network = network_of(recipe)
        load(self._network, whole_layout(recipe), vector)
        self._network.eval()

    def scores(self, images: NDArray[np.float32]) -> Doubles:
        """Scores in [0, 1] of images, shape (B, outputs).

        Args:
            images: float32 (B, C, …) in [0, 1], as a curated dataset gives them.
        """
        recipe = self._recipe
        with repeatable(recipe.seed, recipe.threads), torch.no_grad():
            prepared = prepare(torch.from_numpy(np.ascontiguousarray(images, np.float32)), recipe)
            logits = self._network(prepared).to(torch.float64)
            chance = logits.softmax(dim=1) if recipe.task == "multiclass" else logits.sigmoid()
        return np.asarray(chance.numpy(), np.float64)

    def masks(self, images: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The class of every pixel or voxel, uint8 (B, …) of the images' own sides; 0 is none.

        Args:
            images: float32 (B, C, …) in [0, 1], as a curated dataset gives them.
        """
        recipe = self._recipe
        with repeatable(recipe.seed, recipe.threads), torch.no_grad():
            whole = torch.from_numpy(np.ascontiguousarray(images, np.float32))
            said = answer(self._network, prepare(whole, recipe), recipe.preprocessing.patch)
            drawn = said.argmax(dim=1, keepdim=True).to(torch.float32)
            laid = torch.nn.functional.interpolate(
                drawn, size=list(images.shape[2:]), mode="nearest-exact"
            )
        return np.asarray(laid[:, 0].to(torch.uint8).numpy(), np.uint8)
