"""What every aggregation rule is: a plan made of scalars, and a step made of values.

The plan is small, goes on record and steers; the step is elementwise. Whoever has the plan and the
updates gets the same bytes on any machine.

Source: design/federation.md §6.1, §6.2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from compliance.errors import Malformed
from compliance.records.layout import Layout
from hub.federation.aggregation.vectors import FloatArray, Vector

Site: TypeAlias = str
DoubleArray: TypeAlias = NDArray[np.float64]

CHUNK = 262_144
"""Values that one thread takes next."""

BLOCK = 32_768
"""Values worked on at once where all sites are looked at together: they stay in the processor's
cache from the file to the new model. Memory is (n + 4) blocks a thread, whatever the model. Sums
that go on record are added block by block: another number would change their last digits."""

WIDE = 131_072
"""The same where one site is looked at after the other: threads wait less often for each other."""


class Rows(Protocol):
    """The updates' values of one block, float32, in site order; a rule may overwrite them."""

    def __iter__(self) -> Iterator[FloatArray]:
        """One site after the other, each in the place of the one before, shape (width,)."""

    def together(self) -> FloatArray:
        """All sites at once, shape (sites, width)."""


Combine: TypeAlias = Callable[[Rows, DoubleArray], None]
"""Writes the step of a block, float64 (width,), from the updates' values."""


class Undecided(Malformed):
    """The rule gives no model from these updates; the round ends without one."""


@dataclass(frozen=True)
class Update:
    """One site's delta and the number of examples behind it, at least 1."""

    vector: Vector
    n: int


@dataclass(frozen=True)
class Sections:
    """What lies where in a vector: parameters first, then buffers.

    Args:
        count: values in all.
        params: values that are parameters.
        floors: from and to of buffers that must not be negative (running variances).
    """

    count: int
    params: int
    floors: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Votes:
    """The updates that vote, in the order of their sites' names.

    Args:
        sites: names, sorted.
        examples: n of each.
        vectors: delta of each.
        reference: the reference site's delta, for a rule that needs one.
    """

    sites: tuple[Site, ...]
    examples: tuple[int, ...]
    vectors: tuple[Vector, ...]
    reference: Vector | None = None


@dataclass(frozen=True)
class Plan:
    """The scalars that steer one round; lists follow the sites of its votes.

    Args:
        weights: share of each site, adding up to exactly 1; empty where a rule has no shares.
        factors: what each delta is multiplied by.
        total: what the sum is divided by.
        norms: L2 norm of each delta, over the parameters.
        reference_norm: and of the reference.
        cosines: cosine of each delta with the reference.
        distances: L2 distance of each pair, in the order (0,1), (0,2), …, (1,2), ….
        neighbours: which deltas each one is averaged with; bit 0 is the first site.
    """

    weights: Mapping[Site, Decimal] = field(default_factory=dict)
    factors: tuple[float, ...] = ()
    total: float | None = None
    norms: tuple[float, ...] = ()
    reference_norm: float | None = None
    cosines: tuple[float, ...] = ()
    distances: tuple[float, ...] = ()
    neighbours: tuple[int, ...] = ()


class Rule(Protocol):
    """One rule of the closed catalogue."""

    width: ClassVar[int]
    """Values worked on at once, `WIDE` or `BLOCK`; no byte depends on it."""

    def plan(self, votes: Votes, sections: Sections) -> Plan:
        """Measure the updates and say what each counts.

        Raises:
            Undecided: the rule has no answer to these updates.
        """

    def combine(self, plan: Plan, sites: int) -> Combine:
        """Return what makes the step of a block of parameters."""

    def combine_buffers(self, plan: Plan, sites: int) -> Combine:
        """Return what makes the step of a block of buffers."""


def pieces(spans: Iterable[tuple[int, int]], width: int = BLOCK) -> Iterator[tuple[int, int]]:
    """From and to of each block of these chunks."""
    for low, high in spans:
        for start in range(low, high, width):
            yield start, min(start + width, high)


def sections_of(layout: Layout) -> Sections:
    """Read from a layout where parameters end and which buffers are variances."""
    params = sum(entry.count for entry in layout.entries if entry.role == "param")
    floors = [
        (entry.offset, entry.offset + entry.count)
        for entry in layout.entries
        if entry.role == "buffer" and entry.name.endswith("running_var")
    ]
    return Sections(layout.count, params, tuple(floors))


def votes_of(updates: Mapping[Site, Update], count: int, reference: Site | None = None) -> Votes:
    """Put updates into the order that nobody's speed changes, and take the reference out.

    Args:
        updates: what counts in this round, by site.
        count: values that each must have.
        reference: the reference site, if the rule has one.

    Raises:
        Undecided: no update votes, or the reference is not among them.
        Malformed: another length, or n below 1.
    """
    for site, update in sorted(updates.items()):
        if update.vector.count != count:
            raise Malformed(f"update of {site}", f"it must hold {count} values")
        if update.n < 1:
            raise Malformed(f"update of {site}", "it must rest on at least one example")
    if reference is not None and reference not in updates:
        raise Undecided("round", f"the reference site {reference} sent no update that counts")
    sites = tuple(site for site in sorted(updates) if site != reference)
    if not sites:
        raise Undecided("round", "no update counts, so there is nothing to aggregate")
    return Votes(
        sites=sites,
        examples=tuple(updates[site].n for site in sites),
        vectors=tuple(updates[site].vector for site in sites),
        reference=updates[reference].vector if reference is not None else None,
    )


def need(votes: Votes, least: int, rule: str) -> None:
    """Refuse fewer votes than a rule needs.

    Raises:
        Undecided: there are fewer.
    """
    if len(votes.sites) < least:
        raise Undecided("round", f"{rule} needs {least} updates, {len(votes.sites)} count")
