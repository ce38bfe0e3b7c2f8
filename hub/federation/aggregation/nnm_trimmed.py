"""Nearest-neighbour mixing, then the trimmed mean: each delta becomes the mean of its nearest ones.

Hospitals differ, and a rule that drops the ends drops the unusual hospital too. Mixing draws the
honest ones together first, so that what is far away afterwards is an attack.

Source: Allouah et al. 2023, arXiv 2302.01772; design/federation.md §6.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
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
from hub.federation.aggregation.scalars import distances_of
from hub.federation.aggregation.trimmed_mean import middle_mean, most_dropped

LEAST = 5


@dataclass(frozen=True)
class NnmTrimmed:
    """Mean of all but the f farthest, itself included, then drop f at each end."""

    width: ClassVar[int] = BLOCK
    f: int

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Measure all distances and choose the neighbours."""
        need(votes, max(LEAST, 2 * self.f + 1), "nnm_trimmed")
        distances = distances_of(votes.vectors, sections.params)
        nearest = nearest_of(distances, len(votes.sites), len(votes.sites) - self.f)
        return Plan(distances=distances, neighbours=nearest)

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Mix, drop and average."""
        return mixed_middle_mean(plan.neighbours, self.f)

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Take the median of buffers."""
        return middle_mean(sites, most_dropped(sites))


def nearest_of(distances: Sequence[float], sites: int, count: int) -> tuple[int, ...]:
    """Return each site's nearest ones as bits; of equally far ones the first by name is nearer."""
    between = dict(zip(combinations(range(sites), 2), distances, strict=True))
    found = []
    for one in range(sites):
        far = {other: between.get((min(one, other), max(one, other)), 0.0)
               for other in range(sites)}  # fmt: skip
        order = sorted(range(sites), key=lambda other: (far[other], other != one, other))
        found.append(sum(1 << other for other in order[:count]))
    return tuple(found)


def mixed_middle_mean(neighbours: Sequence[int], drop: int) -> Combine:
    """Return the trimmed mean of sums over neighbours; one division at the end for both means."""
    sites = len(neighbours)
    network = middle_network(sites, drop)
    divisor = float(neighbours[0].bit_count() * (sites - 2 * drop))
    values = np.empty((sites, BLOCK), dtype=np.float64)
    sums = np.empty((sites + 1, BLOCK), dtype=np.float64)
    places = [[i for i in range(sites) if mask >> i & 1] for mask in neighbours]
    first = [neighbours.index(mask) for mask in neighbours]

    def mix(width: int) -> None:
        for site in range(sites):
            made = sums[site, :width]
            if first[site] < site:
                np.copyto(made, sums[first[site], :width])
                continue
            made[:] = 0.0
            for place in places[site]:
                np.add(made, values[place, :width], out=made)

    def combine(rows: Rows, step: DoubleArray) -> None:
        width = len(step)
        np.copyto(values[:, :width], rows.together())
        mix(width)
        step[:] = 0.0
        for row in run(network, list(sums[:-1, :width]), sums[-1, :width]):
            np.add(step, row, out=step)
        np.divide(step, divisor, out=step)

    return combine
