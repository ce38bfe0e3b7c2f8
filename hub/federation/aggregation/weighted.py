"""The weighted sum of deltas: one multiplication each, one division at the end.

Source: design/federation.md §6.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub.federation.aggregation.rule import WIDE, Combine, DoubleArray, Rows


def weighted_sum(factors: Sequence[float], total: float) -> Combine:
    """Return Σ factor·d / total: in site order, float64, one plain operation at a time."""
    term = np.empty(WIDE, dtype=np.float64)

    def combine(rows: Rows, step: DoubleArray) -> None:
        part = term[: len(step)]
        for place, row in enumerate(rows):
            made = part if place else step
            np.copyto(made, row)
            np.multiply(made, factors[place], out=made)
            if place:
                np.add(step, part, out=step)
        np.divide(step, total, out=step)

    return combine
