"""Networks of compare-exchange steps that bring the smallest and largest rows to the ends.

Each step is one `minimum` and one `maximum` over whole rows: no branch, no sort, and the same steps
on any machine. Of two known networks the one with fewer operations is taken, and what does not
reach a kept row is left out.

Source: Batcher 1968 (merge exchange, Knuth vol. 3, 5.2.2 M); design/federation.md §6.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Rows: TypeAlias = list[NDArray[Any]]


class Step(NamedTuple):
    """Compare two rows: the smaller values go to `low`, the larger to `high`, where wanted."""

    low: int
    high: int
    keep_low: bool = True
    keep_high: bool = True


class Network(NamedTuple):
    """Steps, and the rows that hold what was not dropped afterwards, in order."""

    steps: tuple[Step, ...]
    kept: tuple[int, ...]

    @property
    def operations(self) -> int:
        """Number of minima and maxima."""
        return sum(step.keep_low + step.keep_high for step in self.steps)


@lru_cache(maxsize=256)
def middle_network(rows: int, drop: int) -> Network:
    """Return what drops so many smallest and so many largest of these rows, for each place.

    Args:
        rows: number of rows, at least 2·drop + 1.
        drop: how many at each end.
    """
    sorted_kept = tuple(range(drop, rows - drop))
    merged = Network(_pruned(_merge_exchange(rows), sorted_kept), sorted_kept)
    steps, kept = _peeling(rows, drop)
    peeled = Network(_pruned(steps, kept), kept)
    return min(merged, peeled, key=lambda network: network.operations)


def run(network: Network, rows: Rows, spare: NDArray[Any]) -> Rows:
    """Carry out the steps and return the kept rows; all rows are overwritten.

    Args:
        network: from `middle_network`.
        rows: arrays of one length, finite.
        spare: one more such array.
    """
    wires = list(rows)
    for low, high, keep_low, keep_high in network.steps:
        one, other = wires[low], wires[high]
        if not keep_high:
            np.minimum(one, other, out=one)
        elif not keep_low:
            np.maximum(one, other, out=other)
        else:
            np.minimum(one, other, out=spare)
            np.maximum(one, other, out=other)
            wires[low], spare = spare, one
    return [wires[place] for place in network.kept]


def _merge_exchange(rows: int) -> list[Step]:
    """Sort: Knuth's algorithm M, for any number of rows."""
    steps: list[Step] = []
    top = 1 << max((rows - 1).bit_length() - 1, 0)
    p = top if rows > 1 else 0
    while p:
        q, r, d = top, 0, p
        while True:
            steps += [Step(i, i + d) for i in range(rows - d) if i & p == r]
            if q == p:
                break
            q, r, d = q >> 1, p, q - p
        p >>= 1
    return steps


def _peeling(rows: int, drop: int) -> tuple[list[Step], tuple[int, ...]]:
    """Take the smallest and the largest away, `drop` times; the rest stays unsorted."""
    steps, alive = [], list(range(rows))
    for _ in range(drop):
        half = len(alive) // 2
        lows, highs, odd = alive[:half], alive[half : 2 * half], alive[2 * half :]
        steps += [Step(low, high) for low, high in zip(lows, highs, strict=True)]
        steps += [Step(lows[0], other) for other in lows[1:] + odd]
        steps += [Step(other, highs[0]) for other in highs[1:] + odd]
        alive = [place for place in alive if place not in (lows[0], highs[0])]
    return steps, tuple(alive)


def _pruned(steps: Sequence[Step], kept: Sequence[int]) -> tuple[Step, ...]:
    """Leave out every minimum or maximum that reaches no kept row."""
    wanted, found = set(kept), []
    for low, high, _, _ in reversed(steps):
        keep_low, keep_high = low in wanted, high in wanted
        if keep_low or keep_high:
            found.append(Step(low, high, keep_low, keep_high))
            wanted |= {low, high}
    return tuple(reversed(found))
