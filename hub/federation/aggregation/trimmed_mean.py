"""Per number, the mean of what is left when the f smallest and the f largest are dropped.

Source: Yin et al. 2018, arXiv 1803.01498 (trimmed mean, median); design/federation.md §6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from hub.federation.aggregation.network import middle_network, run
from hub.federation.aggregation.rule import (
    BLOCK,
    Combine,
    DoubleArray,
    Plan,
    Rows,
    Sections,
    Votes,
    need,
)


@dataclass(frozen=True)
class TrimmedMean:
    """Drops f at each end; needs 2f + 1 updates. Every site counts alike."""

    width: ClassVar[int] = BLOCK
    f: int

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Nothing steers but the values themselves."""
        need(votes, 2 * self.f + 1, "trimmed_mean")
        return Plan()

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Drop and average."""
        return middle_mean(sites, self.f)

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Take the median of buffers."""
        return middle_mean(sites, most_dropped(sites))


def most_dropped(sites: int) -> int:
    """How many fall at each end when only the middle one or two are left."""
    return (sites - 1) // 2


def middle_mean(sites: int, drop: int) -> Combine:
    """Return the mean of the middle values, per number; float64, in the network's fixed order."""
    network = middle_network(sites, drop)
    spare, term = np.empty(BLOCK, dtype=np.float32), np.empty(BLOCK, dtype=np.float64)

    def combine(rows: Rows, step: DoubleArray) -> None:
        width, values = len(step), list(rows.together())
        step[:] = 0.0
        for row in run(network, values, spare[:width]):
            np.copyto(term[:width], row)
            np.add(step, term[:width], out=step)
        np.divide(step, float(sites - 2 * drop), out=step)

    return combine
