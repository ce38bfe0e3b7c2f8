"""What a quorum bears, counted out and said in words."""

from __future__ import annotations

from itertools import combinations

import pytest

from compliance.rules.quorum import default_k, safe_k, tolerates, words

TABLE = {0: {1: 1, 2: 2, 3: 2, 4: 3, 5: 3, 6: 4, 7: 4, 10: 6},
         1: {3: 3, 4: 3, 5: 4, 6: 4, 7: 5, 10: 6},
         2: {4: 4, 5: 4, 6: 5, 7: 5, 10: 7}}  # fmt: skip
"""k by f and n, as design/ledger.md §7 prints it."""


def fewest_liars(n: int, k: int) -> int:
    """Counted out: over all pairs of quorums, the fewest witnesses that must sign both."""
    quorums = [set(chosen) for chosen in combinations(range(n), k)]
    return min(len(one & other) for one in quorums for other in quorums)


@pytest.mark.parametrize("n", range(1, 8))
def test_two_histories_need_as_many_liars_as_the_arithmetic_says(n: int) -> None:
    """Every pair of quorums of every k, for up to seven witnesses."""
    for k in range(1, n + 1):
        found = tolerates(n, k)
        assert found.dishonest == fewest_liars(n, k)
        assert found.down == n - k


def test_the_safe_numbers_are_those_of_the_table() -> None:
    """The smallest k with which f liars and the hub are not enough, and none smaller."""
    for f, row in TABLE.items():
        for n, k in row.items():
            assert safe_k(n, f) == k, (n, f)
            assert tolerates(n, k).dishonest > f
            assert k == 1 or tolerates(n, k - 1).dishonest <= f


def test_the_proposed_number_bears_a_third_of_liars() -> None:
    """The last column of the table."""
    proposed = {n: default_k(n) for n in (1, 2, 3, 4, 5, 6, 7, 10)}
    assert proposed == {1: 1, 2: 2, 3: 2, 4: 3, 5: 4, 6: 4, 7: 5, 10: 7}
    assert all(1 <= default_k(n) <= n for n in range(1, 33))


def test_a_quorum_is_told_in_words() -> None:
    """Who may be down, and who together could lie, before anybody signs."""
    assert words(3, 2) == (
        "2 of 3: one hospital may be down; a hub and one hospital together could show two "
        "histories."
    )
    assert words(3, 3) == "3 of 3: nobody may be down."
    assert words(4, 2) == (
        "2 of 4: two hospitals may be down; a hub alone could show two histories."
    )
    assert words(21, 10).startswith("10 of 21: 11 hospitals may be down; a hub alone")
    assert words(32, 17) == (
        "17 of 32: 15 hospitals may be down; a hub and two hospitals together could show two "
        "histories."
    )
