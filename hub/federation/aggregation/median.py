"""Per number, the middle value; of an even number of sites the mean of the middle two.

Source: Yin et al. 2018, arXiv 1803.01498; design/federation.md §6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hub.federation.aggregation.rule import BLOCK, Combine, Plan, Sections, Votes
from hub.federation.aggregation.trimmed_mean import middle_mean, most_dropped


@dataclass(frozen=True)
class Median:
    """Every site counts alike."""

    width: ClassVar[int] = BLOCK

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Nothing steers but the values themselves."""
        return Plan()

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Take the middle."""
        return middle_mean(sites, most_dropped(sites))

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Take the middle of buffers too."""
        return self.combine(plan, sites)
