"""What every aggregation rule is: values in, a new model and its account out.

Source: design/federation.md §6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hub.federation.aggregation.vectors import FloatArray, Vector

Site: TypeAlias = str

CHUNK = 262_144
"""Values walked at once; memory is (n + 3) chunks, whatever the model."""


@dataclass(frozen=True)
class State:
    """What a server step carries from round to round: float64 arrays, none for plain rules."""

    arrays: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)


@dataclass(frozen=True)
class Update:
    """One site's delta and the number of examples behind it, at least 1."""

    vector: Vector
    n: int


@dataclass(frozen=True)
class Outcome:
    """Who weighed how much, and the scalars by which an auditor recomputes the round.

    Args:
        weights: share of each site; they add up to exactly 1.
        details: JSON values; numbers are written as `float.hex()`.
    """

    weights: Mapping[Site, Decimal]
    details: Mapping[str, Any]


class Aggregator(Protocol):
    """One rule of the closed catalogue."""

    def init(self, count: int) -> State:
        """Return the state before the first round of a model with so many values."""

    def apply(
        self,
        state: State,
        *,
        base: Vector,
        updates: Mapping[Site, Update],
        out: FloatArray,
        reference: Vector | None = None,
    ) -> tuple[State, Outcome]:
        """Write the new model into `out`; equal inputs give equal bytes on any machine.

        Args:
            state: of the last round.
            base: the model all deltas start from.
            updates: what counts in this round, by site.
            out: float32, shape (base.count,).
            reference: the reference site's delta, for rules that need one.

        Raises:
            Malformed: nothing to aggregate, lengths differ, or n is not positive.
        """
