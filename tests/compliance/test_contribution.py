"""The account in fractions: efficient, symmetric, equal to the published hearts, with intervals."""

from __future__ import annotations

import csv
from decimal import Decimal
from fractions import Fraction
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compliance.errors import Malformed
from compliance.rules.contribution import (
    by_inputs,
    mean_of,
    rounded,
    sampled,
    shapley,
    split,
    valued,
)
from compliance.rules.sweeps import draw_orders
from tests.shared import shared_data

HEARTS = {"cleveland": 104, "hungarian": 89, "switzerland": 16, "va": 45}
ANCHORS = {"cleveland": 0.109, "hungarian": 0.114, "switzerland": -0.001, "va": 0.018}
BAR, ALIKE = 0.03, 0.01

worths = st.integers(2, 4).flatmap(
    lambda n: st.lists(st.fractions(-3, 3), min_size=1 << n, max_size=1 << n)
)


def utility(worth: list[Fraction]) -> dict[int, Fraction]:
    """By coalition."""
    return dict(enumerate(worth))


def names(worth: list[Fraction]) -> list[str]:
    """Hospitals of so many coalitions."""
    return [f"h{place}" for place in range(len(worth).bit_length() - 1)]


@settings(max_examples=25, deadline=None)
@given(worths)
def test_all_values_together_are_exactly_what_all_have_gained(worth: list[Fraction]) -> None:
    """Efficiency, in fractions; and shares add up to one exactly."""
    values = shapley(names(worth), utility(worth))

    assert sum(values.values(), Fraction(0)) == worth[-1] - worth[0]
    assert sum(Decimal(share) for share in rounded(split(values)).values()) == 1


@settings(max_examples=25, deadline=None)
@given(worths)
def test_every_order_once_is_the_exact_value(worth: list[Fraction]) -> None:
    """The estimate over all orders has no error: it is the same number, made the other way."""
    sites = names(worth)
    rows = sampled(sites, list(permutations(range(len(sites)))), utility(worth))

    mean = {site: mean_of([row[site] for row in rows]) for site in sites}
    assert mean == shapley(sites, utility(worth))


def hearts(pooled: bool = True) -> dict[str, Any]:
    """The published coalitions as the inputs of an account."""
    seeds: dict[str, Any] = {}
    with shared_data("flamby", "heart_coalitions.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            told = {site: [n, int(row[f"correct_{site}"]), None] for site, n in HEARTS.items()}
            seeds.setdefault(row["seed"], {})[f"{int(row['coalition_bitmask']):x}"] = told
    return {
        "v": 2,
        "rule": "shapley_exact",
        "pooled": pooled,
        "sites": list(HEARTS),
        "orders": [],
        "seeds": seeds,
    }


def test_the_four_hearts_have_the_published_values() -> None:
    """federation.md §10, from the counts of 16 coalitions and five seeds."""
    found = valued(hearts())

    for site, anchor in ANCHORS.items():
        assert abs(float(found[site].mean) - anchor) < BAR / 30, site
        low, high = found[site].interval or (Decimal(0), Decimal(0))
        assert low < Decimal(str(anchor)) < high
    total = sum((row.mean for row in found.values()), Fraction(0))
    gained = [
        sign * value[1]
        for row in hearts()["seeds"].values()
        for key, sign in (("f", 1), ("0", -1))
        for value in row[key].values()
    ]
    assert total == Fraction(sum(gained), 254 * 5)


def test_a_hospital_cannot_weigh_itself_up_unless_that_was_agreed() -> None:
    """Ten times the cases, the same shares of them: the mean of the hospitals' own stays."""
    many = hearts(pooled=False)
    for rows in many["seeds"].values():
        for row in rows.values():
            n, correct, _ = row["switzerland"]
            row["switzerland"] = [10 * n, 10 * correct, None]
    pooled = {**many, "pooled": True}

    assert by_inputs(many) == by_inputs(hearts(pooled=False))
    assert by_inputs(pooled) != by_inputs(hearts())


def with_another(copy: bool) -> dict[str, Any]:
    """The hearts with a fifth hospital that is va once more, or that changes nothing."""
    told = hearts()
    for rows in told["seeds"].values():
        before = {int(key, 16): row for key, row in rows.items()}
        rows.clear()
        for coalition in range(32):
            own, new = coalition & 15, coalition >> 4
            rows[f"{coalition:x}"] = {
                **before[own | (8 if copy and new else 0)],
                "zz": [None, None, None],
            }
    told["sites"] = [*told["sites"], "zz"]
    return told


def test_a_duplicate_shares_with_its_original() -> None:
    """Neither gets what both had; together they get no more than one would."""
    alone, found = valued(hearts()), valued(with_another(copy=True))

    assert abs(found["va"].mean - found["zz"].mean) < ALIKE
    assert found["va"].mean < alone["va"].mean


def test_a_hospital_that_changes_nothing_gets_nothing() -> None:
    """A null player: zero in every seed, an interval of nothing, the share of the floor."""
    found = valued(with_another(copy=False))

    assert found["zz"].mean == 0
    assert found["zz"].interval == (Decimal(0), Decimal(0))
    assert by_inputs(with_another(copy=False))["zz"] == 0


def test_an_interval_tells_what_five_seeds_can_tell() -> None:
    """By Student: five seeds 0.1 apart around zero reach 2.7764 standard errors."""
    seeds = {
        str(seed): {"0": "0", "1": f"{value}", "2": "0", "3": f"{value}"}
        for seed, value in enumerate(("-0.2", "-0.1", "0", "0.1", "0.2"))
    }

    found = valued({"v": 1, "sites": ["a", "b"], "seeds": seeds})["a"]

    assert (found.mean, found.seeds) == (0, 5)
    assert found.interval == (Decimal("-0.196321"), Decimal("0.196321"))
    alone = valued({"v": 1, "sites": ["a", "b"], "seeds": {"0": seeds["0"]}})["a"]
    assert alone.interval is None


def test_a_sampled_account_is_near_the_exact_one_and_says_how_far() -> None:
    """Ten hospitals of unequal worth with a cap; 200 orders, the truth within the interval."""
    sites, weights = [f"h{place}" for place in range(10)], [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]

    def worth(coalition: int) -> int:
        return min(30, sum(w for place, w in enumerate(weights) if coalition >> place & 1))

    orders = draw_orders("seed", 10, 200)
    reached = {0}
    for order in orders:
        for stop in range(1, 11):
            reached.add(sum(1 << place for place in order[:stop]))
    rows = {f"{one:x}": {site: [100, 40 + worth(one), None] for site in sites} for one in reached}
    inputs = {
        "v": 2, "rule": "shapley_sampled", "pooled": False, "sites": sites,
        "orders": [list(order) for order in orders], "seeds": {str(s): rows for s in range(5)},
    }  # fmt: skip
    exact = shapley(sites, {one: Fraction(worth(one), 100) for one in range(1 << 10)})

    found = valued(inputs)

    assert sum((row.mean for row in found.values()), Fraction(0)) == Fraction(30, 100)
    for site in sites:
        low, high = found[site].interval or (Decimal(0), Decimal(0))
        assert low - Decimal("0.01") <= Decimal(float(exact[site])) <= high + Decimal("0.01")
        assert found[site].deviation == 0  # five equal seeds: what is left is the sample's error
    assert found["h8"].error != 0


@pytest.mark.parametrize(
    "change",
    [
        {"orders": [[0, 1, 2, 2]]},
        {"pooled": None, "seeds": {"0": {"0": {"va": [None, None, None]}}}},
        {"sites": ["va", "cleveland"]},
        {"seeds": {"0": {"0": {"va": [0, 0, None]}}}},
        {"v": 3},
    ],
)
def test_inputs_of_another_form_are_refused(change: dict[str, Any]) -> None:
    """Nothing is guessed."""
    with pytest.raises(Malformed):
        valued(hearts() | change)
