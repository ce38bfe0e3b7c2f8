"""A released model put together with this hospital's own layers, where its study keeps some.

Source: design/federation.md §6.5; docs/decisions/0049.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compliance.records.recipe import Recipe, layout_of
from site_node.gate.locals import Own


def whole_of(vector: NDArray[np.float32], own: Own | None, recipe: Recipe) -> NDArray[np.float32]:
    """All values of the network, float32, in the order of `whole_layout(recipe)`.

    Args:
        vector: the model as it was released, shape (layout_of(recipe).count,).
        own: the layers that are kept here; None where the model is whole.
        recipe: of the study.

    Raises:
        Malformed: vector or layers have another length.
    """
    if own is None:
        return vector
    from site_node.training.staying import Whole  # slow to import: torch

    layers = np.frombuffer(own.values, "<f4").astype(np.float32)
    return Whole.of(recipe, layout_of(recipe)).joined(vector, layers)
