"""Scores that people see: who is unlike the others, by three measures; nothing follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hub.federation import suspicion
from hub.federation.aggregation.vectors import ArrayVector
from hub.federation.suspicion import ranks


def updates(count: int = 6, size: int = 4000) -> dict[str, Any]:
    """Honest updates around one direction."""
    draws = np.random.default_rng(3).normal(1e-3, 1e-3, (count, size)).astype(np.float32)
    return {f"s{at}.example": row for at, row in enumerate(draws)}


def ranked(arrays: dict[str, Any]) -> dict[str, list[int]]:
    """Their ranks."""
    return ranks({site: ArrayVector(array) for site, array in arrays.items()})


@pytest.mark.parametrize(
    "attack",
    [
        lambda rows: -5 * rows[0],
        lambda rows: rows[1:].mean(axis=0) - 1.5 * rows[1:].std(axis=0),  # a little is enough
        lambda rows: np.random.default_rng(1).normal(0, 0.5, rows.shape[1]),
    ],
)
def test_an_attacker_stands_out_by_distance(attack: Any) -> None:
    """Sign flip, a little is enough, noise: the last place by the median and by Krum."""
    arrays = updates()
    arrays["s0.example"] = attack(np.stack(list(arrays.values()))).astype(np.float32)

    found = ranked(arrays)

    assert found["s0.example"][1:] == [6, 6]
    assert {tuple(sorted(column)) for column in zip(*found.values(), strict=True)} == {
        (1, 2, 3, 4, 5, 6)
    }


def test_scores_are_the_published_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks of plain loops over whole vectors equal those of pieces."""
    arrays = updates(5, 1000)
    rows = np.stack(list(arrays.values())).astype(np.float64)
    norms = [float(np.linalg.norm(row)) for row in rows]
    off = [abs(norm - float(np.median(norms))) for norm in norms]
    middle = np.median(rows, axis=0)
    apart = [float(((row - middle) ** 2).sum()) for row in rows]
    krum = []
    for at, row in enumerate(rows):
        others = np.delete(rows, at, axis=0)
        distances = sorted(float(((row - other) ** 2).sum()) for other in others)
        krum.append(sum(distances[: 5 - 1 - 2]))
    monkeypatch.setattr(suspicion, "CHUNK", 64)

    found = ranked(arrays)

    for column, scores in enumerate((off, apart, krum)):
        order = sorted(range(5), key=lambda at, scores=scores: scores[at])
        assert [found[f"s{at}.example"][column] for at in order] == [1, 2, 3, 4, 5]


def test_two_updates_have_no_ranks() -> None:
    """Of two nobody is unlike the others."""
    assert ranked(updates(2)) == {}
