"""A network whose layers stay at the hospital in part: put together, and taken apart again.

Source: design/federation.md §6.5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compliance.errors import Malformed
from compliance.records.layout import Layout
from compliance.records.recipe import Recipe, local_layout, whole_layout
from site_node.training.vectors import FloatArray, start_vector


@dataclass(frozen=True)
class Whole:
    """A network's layout, and the two that it consists of.

    Args:
        layout: of all values.
        shared: of what travels.
        local: of what stays; None where everything travels.
        seed: of the start values of what stays, the same at each hospital.
    """

    layout: Layout
    shared: Layout
    local: Layout | None
    seed: int

    @classmethod
    def of(cls, recipe: Recipe, shared: Layout) -> Whole:
        """The parts of a recipe's network; `shared` is the layout of the vector that travels."""
        local = local_layout(recipe)
        return cls(shared if local is None else whole_layout(recipe), shared, local, recipe.seed)

    def joined(self, vector: FloatArray, layers: FloatArray | None) -> FloatArray:
        """All values in the order of `layout`.

        Args:
            vector: what travelled, float32, shape (shared.count,).
            layers: what stayed, float32, shape (local.count,); without them, or empty, it starts.

        Raises:
            Malformed: one of them has another length.
        """
        if self.local is None:
            return vector
        kept = layers if layers is not None and len(layers) else start_vector(self.local, self.seed)
        if (len(vector), len(kept)) != (self.shared.count, self.local.count):
            raise Malformed("model vector", f"it must have {self.shared.count} values")
        whole = np.empty(self.layout.count, np.float32)
        for part, values in ((self.shared, vector), (self.local, kept)):
            for mine, there in self._places(part):
                whole[there] = values[mine]
        return whole

    def parted(self, whole: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """What travels and what stays of all values."""
        if self.local is None:
            return whole, None
        return self._taken(self.shared, whole), self._taken(self.local, whole)

    def _taken(self, part: Layout, whole: FloatArray) -> FloatArray:
        values = np.empty(part.count, np.float32)
        for mine, there in self._places(part):
            values[mine] = whole[there]
        return values

    def _places(self, part: Layout) -> list[tuple[slice, slice]]:
        offsets = {entry.name: entry.offset for entry in self.layout.entries}
        return [
            (
                slice(entry.offset, entry.offset + entry.count),
                slice(offsets[entry.name], offsets[entry.name] + entry.count),
            )
            for entry in part.entries
        ]
