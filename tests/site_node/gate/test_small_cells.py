"""Groups and bins at the door: nobody works out a small group from what is told beside it."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from site_node.gate.measures import MetricClaim, presentable
from site_node.gate.small_cells import FIELDS

FLOOR = 5
HIDDEN = dict.fromkeys(FIELDS)
BANDS = ("under-40", "40-59", "60-79", "80-up")


def value(n: int | None, positives: int | None) -> dict[str, Any]:
    """A value as training gives it."""
    told = None if n is None else 0.8
    return {"value": told, "low": told, "high": told, "n": n, "positives": positives}


def shown(values: dict[str, dict[str, Any]], patients: int = 10_000) -> dict[str, dict[str, Any]]:
    """What goes through the door when everything was agreed."""
    claim = MetricClaim("before_training", "test", values)
    return presentable(claim, list(values), FLOOR, patients)


def by_sex(*pairs: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Values of a whole split and of its women and men; pairs of n and positives."""
    return by("sex", ("f", "m"), *pairs)


def by(family: str, words: tuple[str, ...], *pairs: tuple[int, int]) -> dict[str, dict[str, Any]]:
    """Values of a whole split and of its parts; pairs of n and positives, one may be unnamed."""
    whole = value(sum(n for n, _ in pairs), sum(p for _, p in pairs))
    named = zip(words, pairs, strict=False)
    return {"auroc": whole, **{f"auroc.{family}.{word}": value(*pair) for word, pair in named}}


def test_three_men_are_not_worked_out_from_all_less_the_women() -> None:
    """197 women of 200 patients: telling the women would tell the men."""
    found = shown(by_sex((197, 90), (3, 1)))

    assert found["auroc"]["n"] == 200
    assert found["auroc.sex.f"] == found["auroc.sex.m"] == HIDDEN


@pytest.mark.parametrize("men", [(0, 0), (3, 1), (4, 2)])
def test_none_and_too_few_look_the_same(men: tuple[int, int]) -> None:
    """A hospital without men tells what a hospital with three tells: nothing by sex."""
    found = shown(by_sex((197, 90), men))

    assert found["auroc.sex.f"] == found["auroc.sex.m"] == HIDDEN


def test_three_ill_men_are_not_worked_out_from_positives() -> None:
    """Enough men, but three of them ill: the women's positives would tell."""
    found = shown(by_sex((120, 60), (80, 3)))

    assert found["auroc.sex.f"] == found["auroc.sex.m"] == HIDDEN


def test_groups_that_are_all_large_enough_are_told() -> None:
    """Nothing is hidden where nothing is small."""
    found = shown(by_sex((120, 60), (80, 30)))

    assert (found["auroc.sex.f"]["n"], found["auroc.sex.m"]["positives"]) == (120, 30)


def test_the_same_group_is_hidden_in_every_measure() -> None:
    """A second measure of the same women would tell what the first one hides."""
    cells = by_sex((197, 90), (3, 1)) | {"local.sensitivity.sex.f": value(197, 90)}

    assert shown(cells)["local.sensitivity.sex.f"] == HIDDEN


def test_a_bin_is_hidden_with_its_value() -> None:
    """The value of a bin is its share of positives: without the count it would still tell it."""
    cells = {"auroc": value(300, 120), "cal.b01": value(100, 2), "cal.b02": value(200, 118)}

    assert shown(cells)["cal.b01"] == shown(cells)["cal.b02"] == HIDDEN
    assert shown({"auroc": value(90, 3)})["auroc"]["positives"] is None


def test_whatever_the_counts_no_small_part_can_be_worked_out() -> None:
    """An attacker adds and subtracts all that was told; 2,000 hospitals, every subset of parts."""
    random = np.random.default_rng(7)
    told = 0
    for _ in range(2000):
        sizes = random.integers(0, 30, 5)
        ill = [int(random.integers(0, n + 1)) for n in sizes]
        found = shown(by("age", BANDS, *zip(map(int, sizes), ill, strict=True)))
        whole = found["auroc"]
        if whole["positives"] is None:
            continue
        parts = [found[f"auroc.age.{word}"] for word in BANDS]
        seen = [(row["n"], row["positives"]) for row in parts if row["n"] is not None]
        told += len(seen)
        for chosen in product((False, True), repeat=len(seen)):
            taken = [row for row, on in zip(seen, chosen, strict=True) if on]
            n = whole["n"] - sum(row[0] for row in taken)
            positives = whole["positives"] - sum(row[1] for row in taken)
            hides = len(seen) < len(BANDS) or n > 0
            assert not hides or min(n, positives, n - positives) >= FLOOR

    assert told > 1000


def test_masks_are_told_by_group_without_positives() -> None:
    """Of masks only the number of patients stands behind a value."""
    cells = {"dice": value(60, None), "dice.sex.f": value(35, None), "dice.sex.m": value(25, None)}

    assert shown(cells)["dice.sex.f"]["n"] == 35
    few = cells | {"dice.sex.f": value(57, None), "dice.sex.m": value(3, None)}
    assert shown(few)["dice.sex.f"] == HIDDEN


def test_parts_of_an_unknown_whole_hide_each_other() -> None:
    """Where no value tells how many there are in all, one hidden part hides the others."""
    cells = {"auroc.sex.f": value(50, 20), "auroc.sex.m": value(3, 1)}

    assert shown(cells)["auroc.sex.f"] == HIDDEN
    assert shown({"auroc.sex.f": value(50, 20)})["auroc.sex.f"]["n"] == 50
