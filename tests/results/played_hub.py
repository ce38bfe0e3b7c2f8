"""The hub's step in this process: the installed rules and server steps, moments in memory."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any


class PlayedHub:
    """Makes the model of a round from the hospitals' updates, as the hub would.

    Args:
        chosen: `name` and `params` of the charter's aggregator.
        layout: of the model's values.
    """

    def __init__(self, chosen: Mapping[str, Any], layout: Any) -> None:
        from hub.federation.aggregation.catalogue import aggregator
        from hub.federation.aggregation.rule import sections_of

        params = {name: Decimal(value) for name, value in chosen["params"].items()}
        self._rule = aggregator(chosen["name"], params)
        self._sections, self._moments = sections_of(layout), Remembered()

    def step(self, model: Any, updates: Mapping[str, tuple[Any, int]]) -> Any:
        """The next model.

        Args:
            model: float32, shape (count,).
            updates: delta and number of examples, by hospital.
        """
        import numpy as np

        from hub.federation.aggregation.aggregator import Inputs
        from hub.federation.aggregation.rule import Update
        from hub.federation.aggregation.vectors import ArrayVector

        sent = {site: Update(ArrayVector(delta), n) for site, (delta, n) in updates.items()}
        out, after = np.empty_like(model), Remembered()
        base = ArrayVector(model)
        inputs = Inputs(base, sent, self._sections, before=self._moments)
        self._rule.apply(inputs, ArrayVector(out), after)
        self._moments = after
        return out


class Remembered:
    """Moments of the server step, in memory; zero until they are written."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], Any] = {}

    def read(self, name: str, start: int, stop: int, into: Any) -> None:
        """Copy values start to stop into the first places of a buffer."""
        known = self._parts.get((name, start))
        into[: stop - start] = 0.0 if known is None else known

    def write(self, name: str, start: int, stop: int, values: Any) -> None:
        """Take values start to stop from the first places of a buffer."""
        self._parts[name, start] = values[: stop - start].copy()
