"""FLTrust: what points away from a reference update is dropped, the rest is cut to its length.

The reference is the update of a hospital whose dataset is public or consented; it is no vote.

Source: Cao et al. 2021, arXiv 2012.13995; design/federation.md §6.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from hub.federation.aggregation.rule import BLOCK, Combine, Plan, Sections, Undecided, Votes
from hub.federation.aggregation.scalars import dots_with, norms_of
from hub.federation.aggregation.shares import decimals
from hub.federation.aggregation.trimmed_mean import middle_mean, most_dropped
from hub.federation.aggregation.weighted import weighted_sum


@dataclass(frozen=True)
class FLTrust:
    """Weights max(0, cos(d, r)); each delta has the length of r."""

    width: ClassVar[int] = BLOCK

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Measure norms and cosines.

        Raises:
            Undecided: there is no reference, or no update points its way.
        """
        if votes.reference is None:
            raise Undecided("round", "fltrust has no reference update")
        *norms, length = norms_of((*votes.vectors, votes.reference), sections.params)
        dots = dots_with(votes.reference, votes.vectors, sections.params)
        cosines = tuple(
            dot / (norm * length) if norm and length else 0.0
            for dot, norm in zip(dots, norms, strict=True)
        )
        trust = [max(0.0, cosine) for cosine in cosines]
        total = math.fsum(trust)
        if not total:
            raise Undecided("round", "no update points the way of the reference update")
        return Plan(
            weights=decimals(_shares(votes.sites, trust)),
            factors=tuple(t * (length / norm) if t else 0.0
                          for t, norm in zip(trust, norms, strict=True)),
            total=total,
            norms=tuple(norms),
            reference_norm=length,
            cosines=cosines,
        )  # fmt: skip

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Average by trust."""
        return weighted_sum(plan.factors, plan.total or 1.0)

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Take the median of buffers."""
        return middle_mean(sites, most_dropped(sites))


def _shares(sites: tuple[str, ...], trust: list[float]) -> dict[str, Fraction]:
    """Trust as shares that add up to exactly 1."""
    exact = [Fraction(value) for value in trust]
    return {site: value / sum(exact) for site, value in zip(sites, exact, strict=True)}
