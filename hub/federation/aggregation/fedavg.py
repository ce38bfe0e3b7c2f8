"""Federated averaging: each site's delta counts by its examples, none above an agreed share.

Source: McMahan et al. 2017; design/federation.md §6.3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from hub.federation.aggregation.rule import WIDE, Combine, Plan, Sections, Votes
from hub.federation.aggregation.shares import capped_shares, decimals, factors_of
from hub.federation.aggregation.weighted import weighted_sum


@dataclass(frozen=True)
class FedAvg:
    """Sum of n·d over sum of n; a share above `weight_cap` is cut, the others fill it pro rata."""

    width: ClassVar[int] = WIDE
    weight_cap: Decimal = Decimal(1)

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Weigh by examples; nothing is measured."""
        examples = dict(zip(votes.sites, votes.examples, strict=True))
        shares = capped_shares(examples, Fraction(self.weight_cap))
        factors = factors_of(examples, shares)
        return Plan(weights=decimals(shares), factors=factors, total=math.fsum(factors))

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Average."""
        return weighted_sum(plan.factors, plan.total or 1.0)

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Average buffers the same way."""
        return self.combine(plan, sites)
