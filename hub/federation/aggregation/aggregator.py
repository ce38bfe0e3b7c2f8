"""One round's new model: measure, plan, then walk through the values once.

Source: design/federation.md §6.1, §6.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from compliance.errors import Malformed
from hub.federation.aggregation.moments import Moments, MomentSink, NoMoments
from hub.federation.aggregation.rule import (
    CHUNK,
    DoubleArray,
    Plan,
    Rule,
    Sections,
    Site,
    Undecided,
    Update,
    Votes,
    pieces,
    votes_of,
)
from hub.federation.aggregation.server import Server, scratch
from hub.federation.aggregation.sharing import Span, shared
from hub.federation.aggregation.vectors import FloatArray, Sink, Vector


@dataclass(frozen=True)
class Inputs:
    """What a round is made of.

    Args:
        base: the model that all deltas start from.
        updates: what counts in this round, by site.
        sections: what lies where in the vectors; None: all values are parameters.
        reference: the reference site, for a rule that needs one.
        before: the server step's moments of the round before.
    """

    base: Vector
    updates: Mapping[Site, Update]
    sections: Sections | None = None
    reference: Site | None = None
    before: Moments = field(default_factory=NoMoments)

    @property
    def parts(self) -> Sections:
        """What lies where."""
        return self.sections or Sections(self.base.count, self.base.count)


@dataclass(frozen=True)
class Outcome:
    """Who voted, who weighed how much, and the scalars by which an auditor recomputes the round.

    Args:
        votes: the updates, in order.
        plan: the rule's scalars; its weights are over the sites that vote.
        weights: share of each site that was used, the reference with 0; empty without shares.
    """

    votes: Votes
    plan: Plan
    weights: Mapping[Site, Decimal]


@dataclass(frozen=True)
class Aggregator:
    """A rule of the closed catalogue, with a server step or without.

    Args:
        rule: makes one result of many deltas.
        server: makes a step of the result; None: the result is the step.
    """

    rule: Rule
    server: Server | None = None

    @property
    def moments(self) -> tuple[str, ...]:
        """Names of what is remembered from round to round."""
        return self.server.moments if self.server else ()

    def apply(
        self,
        inputs: Inputs,
        out: Sink,
        after: MomentSink | None = None,
        given: Plan | None = None,
    ) -> Outcome:
        """Write the new model; equal inputs give equal bytes on any machine.

        Args:
            inputs: of the round.
            out: takes the new model, float32.
            after: takes the server step's moments.
            given: scalars on record, to compute by instead of the measured ones.

        Raises:
            Undecided: nothing to aggregate, or the rule has no answer.
            Malformed: lengths differ, n is not positive, or the new model is not finite.
        """
        parts = inputs.parts
        if not inputs.base.count == out.count == parts.count:
            raise Malformed("new model", f"it must hold {parts.count} values, as its base does")
        votes = votes_of(inputs.updates, parts.count, inputs.reference)
        plan = given or self.rule.plan(votes, parts)
        self._walk(votes, plan, inputs, out, after or NoMoments())
        weights = dict(plan.weights)
        if weights and inputs.reference is not None:
            weights[inputs.reference] = Decimal(0)
        return Outcome(votes, plan, dict(sorted(weights.items())))

    def measured(self, inputs: Inputs) -> Plan:
        """Make the plan alone, without a model."""
        votes = votes_of(inputs.updates, inputs.parts.count, inputs.reference)
        return self.rule.plan(votes, inputs.parts)

    def _walk(self, votes: Votes, plan: Plan, inputs: Inputs, out: Sink, after: MomentSink) -> None:
        parts, sites = inputs.parts, len(votes.sites)
        width = min(self.rule.width, parts.count)

        @np.errstate(over="ignore")
        def walk(mine: Sequence[Span]) -> None:
            combine = self.rule.combine(plan, sites)
            buffers = self.rule.combine_buffers(plan, sites)
            rows, work = _BlockRows(votes.vectors, width), _Work(self.server, width)
            piece, whole = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float64)
            for start, stop in pieces(mine, width):
                rows.move(start, stop)
                step, is_param = whole[: stop - start], start < parts.params
                (combine if is_param else buffers)(rows, step)
                inputs.base.read(start, stop, piece)
                if is_param:
                    work.remember(step, start, inputs.before, after)
                work.add(step, piece[: stop - start])
                _finish(piece, start, stop, parts)
                out.write(start, stop, piece)

        shared(walk, list(spans(parts)))


class _BlockRows:
    """One block of all vectors, read when it is asked for: alone or together."""

    def __init__(self, vectors: Sequence[Vector], width: int) -> None:
        self._vectors, self._width = vectors, width
        self._all = np.empty((0, 0), dtype=np.float32)
        self._start = self._stop = 0

    def move(self, start: int, stop: int) -> None:
        """Stand at another block."""
        self._start, self._stop = start, stop

    def __iter__(self) -> Iterator[FloatArray]:
        """One vector after the other, in one buffer."""
        rows = self._buffer(1)
        for vector in self._vectors:
            vector.read(self._start, self._stop, rows[0])
            yield rows[0, : self._stop - self._start]

    def together(self) -> FloatArray:
        """All vectors."""
        rows = self._buffer(len(self._vectors))
        for row, vector in zip(rows, self._vectors, strict=True):
            vector.read(self._start, self._stop, row)
        return rows[:, : self._stop - self._start]

    def _buffer(self, rows: int) -> FloatArray:
        if len(self._all) < rows:
            self._all = np.empty((rows, self._width), dtype=np.float32)
        return self._all


class _Work:
    """Scratch of a block, used again and again."""

    def __init__(self, server: Server | None, width: int) -> None:
        self._server = server
        self._sum = np.empty(width, dtype=np.float64)
        self._moments = scratch(server.moments if server else (), width)

    def remember(self, step: DoubleArray, start: int, before: Moments, after: MomentSink) -> None:
        """The server's step in place of the rule's result."""
        if self._server is None:
            return
        stop = start + len(step)
        views = {name: array[: len(step)] for name, array in self._moments.items()}
        for name, view in views.items():
            before.read(name, start, stop, view)
        self._server.advance(step, views)
        for name, view in views.items():
            after.write(name, start, stop, view)

    def add(self, step: DoubleArray, piece: FloatArray) -> None:
        """The new values in place of the base's: added in float64, rounded once."""
        total = self._sum[: len(step)]
        np.copyto(total, piece)
        np.add(total, step, out=total)
        piece[:] = total


def spans(parts: Sections) -> Iterator[Span]:
    """From and to of each chunk: parameters, then buffers; none holds both."""
    for low, high in ((0, parts.params), (parts.params, parts.count)):
        for start in range(low, high, CHUNK):
            yield start, min(start + CHUNK, high)


def _finish(piece: FloatArray, start: int, stop: int, parts: Sections) -> None:
    """A variance is never negative, a value never infinite."""
    for low, high in parts.floors:
        view = piece[max(low - start, 0) : max(min(high, stop) - start, 0)]
        np.maximum(view, np.float32(0), out=view)
    if not np.isfinite(piece[: stop - start]).all():
        raise Undecided("new model", "a value of it is not finite")
