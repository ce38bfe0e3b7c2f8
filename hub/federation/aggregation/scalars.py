"""Norms, cosines and distances of updates, over the parameters: what steers the robust rules.

Per block `np.add.reduce` of the float64 products, then `math.fsum` over the blocks: no BLAS.

Source: design/federation.md §6.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import TypeAlias

import numpy as np

from hub.federation.aggregation.rule import BLOCK, CHUNK, DoubleArray, pieces
from hub.federation.aggregation.sharing import Span, shared
from hub.federation.aggregation.vectors import Vector

Products: TypeAlias = Callable[[DoubleArray, DoubleArray], list[float]]
"""Of the vectors' values in a block, (vectors, width), and a row of scratch: sums of products."""


def norms_of(vectors: Sequence[Vector], params: int) -> tuple[float, ...]:
    """L2 norm of each vector."""
    return _roots(_sums(vectors, params, lambda rows, spare: [_dot(r, r, spare) for r in rows]))


def dots_with(reference: Vector, vectors: Sequence[Vector], params: int) -> tuple[float, ...]:
    """Inner product of each vector with a reference."""

    def products(rows: DoubleArray, spare: DoubleArray) -> list[float]:
        return [_dot(row, rows[-1], spare) for row in rows[:-1]]

    return tuple(_sums((*vectors, reference), params, products))


def distances_of(vectors: Sequence[Vector], params: int) -> tuple[float, ...]:
    """L2 distance of each pair, in the order (0,1), (0,2), …, (1,2), …."""
    pairs = list(combinations(range(len(vectors)), 2))

    def products(rows: DoubleArray, spare: DoubleArray) -> list[float]:
        return [_square(rows[one], rows[other], spare) for one, other in pairs]

    return _roots(_sums(vectors, params, products))


def _roots(squares: Sequence[float]) -> tuple[float, ...]:
    return tuple(math.sqrt(square) for square in squares)


def _dot(one: DoubleArray, other: DoubleArray, spare: DoubleArray) -> float:
    np.multiply(one, other, out=spare)
    return float(np.add.reduce(spare))


def _square(one: DoubleArray, other: DoubleArray, spare: DoubleArray) -> float:
    np.subtract(one, other, out=spare)
    return _dot(spare, spare, spare)


def _sums(vectors: Sequence[Vector], params: int, products: Products) -> list[float]:
    """Sums over all parameters, each product by itself, exact over the blocks."""
    spans = [(start, min(start + CHUNK, params)) for start in range(0, params, CHUNK)]

    def work(mine: Sequence[Span]) -> list[list[float]]:
        return [products(rows, spare) for rows, spare in _blocks(vectors, mine)]

    found = [block for part in shared(work, spans) for block in part]
    return [math.fsum(column) for column in zip(*found, strict=True)]


def _blocks(
    vectors: Sequence[Vector], spans: Sequence[Span]
) -> Iterator[tuple[DoubleArray, DoubleArray]]:
    """Float64 copies of all vectors' values, block by block, and a row of scratch."""
    read = np.empty(BLOCK, dtype=np.float32)
    rows = np.empty((len(vectors) + 1, BLOCK), dtype=np.float64)
    for start, stop in pieces(spans):
        width = stop - start
        for row, vector in zip(rows, vectors, strict=False):
            vector.read(start, stop, read)
            np.copyto(row[:width], read[:width])
        yield rows[:-1, :width], rows[-1, :width]
