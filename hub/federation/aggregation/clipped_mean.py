"""The mean of deltas of which none is longer than the median one.

Source: design/federation.md §6.3; clipping by the median norm as in Yin et al. 2018 and after.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import ClassVar

from hub.federation.aggregation.fedavg import FedAvg
from hub.federation.aggregation.rule import WIDE, Combine, Plan, Sections, Votes
from hub.federation.aggregation.scalars import norms_of
from hub.federation.aggregation.weighted import weighted_sum


@dataclass(frozen=True)
class ClippedMean:
    """d·min(1, median‖d‖ / ‖d‖), then averaged with shares of at most `weight_cap`."""

    width: ClassVar[int] = WIDE
    weight_cap: Decimal = Decimal("0.5")

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Measure the norms; the factor of each site is its weight times its clipping."""
        plain = FedAvg(self.weight_cap).plan(votes, sections)
        norms = norms_of(votes.vectors, sections.params)
        factors = tuple(n * clip for n, clip in zip(plain.factors, clips(norms), strict=True))
        return replace(plain, factors=factors, norms=norms)

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Average what was clipped."""
        return weighted_sum(plan.factors, plan.total or 1.0)

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Average buffers by the same weights, which have no length to clip."""
        shares = [float(share) for share in plan.weights.values()]
        return weighted_sum(shares, math.fsum(shares))


def clips(norms: tuple[float, ...]) -> tuple[float, ...]:
    """What each delta is shortened by: 1 up to the median norm, median / norm above."""
    middle = statistics.median(norms)
    return tuple(middle / norm if norm > middle else 1.0 for norm in norms)
