"""The next models of many coalitions: each made from its members' updates by the study's rule.

Plain arrays in, an array out, in a fixed order: the hub, a hub that goes on after a power cut, and
an auditor with the kept updates get the same bytes.

Source: design/federation.md §10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hub.federation.aggregation.again import Method
from hub.federation.aggregation.aggregator import Inputs
from hub.federation.aggregation.moments import Moments, MomentSink, NoMoments
from hub.federation.aggregation.rule import DoubleArray, Update
from hub.federation.aggregation.vectors import ArrayVector, FloatArray


@dataclass(frozen=True)
class Sent:
    """What one hospital sent in a step.

    Args:
        values: its updates, one row a coalition that it belongs to, float32.
        places: of those coalitions in the batch, ascending.
        n: its training cases.
    """

    values: FloatArray
    places: Sequence[int]
    n: int


@dataclass
class _Kept:
    """The moments of one coalition: written in place of what was read."""

    rows: Mapping[str, DoubleArray]

    def read(self, name: str, start: int, stop: int, into: DoubleArray) -> None:
        """Copy values start to stop."""
        into[: stop - start] = self.rows[name][start:stop]

    def write(self, name: str, start: int, stop: int, values: DoubleArray) -> None:
        """Take values start to stop."""
        self.rows[name][start:stop] = values[: stop - start]


def empty_moments(method: Method, models: int) -> DoubleArray:
    """What the server step of every coalition remembers before the first round: zeros."""
    return np.zeros((models, len(method.aggregator().moments), method.sections.params))


def next_models(
    method: Method, models: FloatArray, moments: DoubleArray, sent: Mapping[str, Sent]
) -> FloatArray:
    """Return the models of the next step; the empty coalition stays where it is.

    Args:
        method: the study's rule.
        models: one row a coalition, float32.
        moments: of each coalition's server step; changed in place.
        sent: by hospital.

    Raises:
        Undecided, Malformed: as `Aggregator.apply`.
    """
    made, rule = np.array(models, dtype=np.float32), method.aggregator()
    rows = {
        site: dict(zip(one.places, one.values, strict=True)) for site, one in sorted(sent.items())
    }
    for place in range(len(models)):
        updates = {
            site: Update(ArrayVector(np.ascontiguousarray(rows[site][place])), sent[site].n)
            for site in rows
            if place in rows[site]
        }
        if not updates:
            continue
        kept = _Kept(dict(zip(rule.moments, moments[place], strict=True)))
        before: Moments = kept if rule.moments else NoMoments()
        after: MomentSink | None = kept if rule.moments else None
        base = ArrayVector(np.array(models[place], dtype=np.float32))
        inputs = Inputs(base, updates, method.sections, None, before)
        rule.apply(inputs, ArrayVector(made[place]), after)
    return made
