"""How unlike the others an update is: three scores as ranks, to be shown and never acted on.

Norm against the median absolute deviation of norms, distance to the coordinate-wise median, and
the score of Krum. A hospital with other patients is unlike the others too, and a mimic cannot be
seen at all: people look, no rule does.

Source: design/federation.md §5.2; Blanchard et al. 2017 (Krum).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hub.federation.aggregation.rule import CHUNK
from hub.federation.aggregation.vectors import Vector

FEWEST = 3
MEASURES = ("norm", "median", "krum")
MANY = 5
ROWS = 4
"""Chunks looked at together, shared among the updates: those of many hospitals are short ones."""

Ranks = dict[str, list[int]]
"""By site: its rank by each measure, 1 for the most ordinary update of the round."""

FloatTable = NDArray[np.float64]


def ranks(updates: Mapping[str, Vector]) -> Ranks:
    """Rank the updates of one round by each measure; empty for fewer than three.

    Args:
        updates: deltas of equal length, by site.
    """
    sites = sorted(updates)
    if len(sites) < FEWEST:
        return {}
    squares, from_median = _distances([updates[site] for site in sites])
    norms = np.sqrt(np.diag(squares))
    between = np.add.outer(np.diag(squares), np.diag(squares)) - 2 * squares
    columns = [
        _ranked(np.abs(norms - np.median(norms))),  # the deviation's scale changes no rank
        _ranked(from_median),
        _ranked(_krum(np.maximum(between, 0.0))),
    ]
    return {site: [column[at] for column in columns] for at, site in enumerate(sites)}


def _distances(vectors: list[Vector]) -> tuple[FloatTable, FloatTable]:
    """Inner products of all pairs, and squared distances to the coordinate-wise median.

    Memory is some tens of chunks, whatever the model and the number of updates.
    """
    count, many = vectors[0].count, len(vectors)
    width = min(count, max(1, ROWS * CHUNK // many))
    products, apart = np.zeros((many, many)), np.zeros(many)
    rows = np.empty((many, width), dtype=np.float32)
    for start in range(0, count, width):
        stop = min(start + width, count)
        for row, vector in zip(rows, vectors, strict=True):
            vector.read(start, stop, row)
        piece = rows[:, : stop - start].astype(np.float64)
        products += piece @ piece.T
        apart += np.square(piece - np.median(piece, axis=0)).sum(axis=1)
    return products, apart


def _krum(between: FloatTable) -> FloatTable:
    """Sum of squared distances to the nearest n - f - 2 others."""
    many = len(between)
    bad = max(1, many // MANY) if many >= MANY else 0
    near = max(1, many - bad - 2)
    apart = np.sort(between, axis=1)[:, 1 : near + 1]  # the first is the update itself
    return np.asarray(apart.sum(axis=1), dtype=np.float64)


def _ranked(scores: FloatTable) -> list[int]:
    """Ranks from 1, equal scores in the order of names."""
    found = [0] * len(scores)
    for rank, at in enumerate(np.argsort(scores, kind="stable"), start=1):
        found[int(at)] = rank
    return found
