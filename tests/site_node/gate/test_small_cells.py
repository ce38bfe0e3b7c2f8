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


def scored(scores: np.ndarray, ill: np.ndarray, point: float) -> dict[str, dict[str, Any]]:
    """What training says of scores: a threshold, what it finds, and ten bins."""
    n, positives = len(scores), int(ill.sum())
    found = scores >= point
    rates = {
        "sensitivity": (found & ill).sum() / max(1, positives),
        "specificity": (~found & ~ill).sum() / max(1, n - positives),
        "accuracy": (found == ill).mean(),
        "threshold": point,
    }
    told = {name: value(n, positives) | {"value": rate} for name, rate in rates.items()}
    for number in range(10):
        here = (scores >= number / 10) & ((scores < (number + 1) / 10) | (number == 9))
        told[f"cal.b{number + 1:02d}"] = value(int(here.sum()), int((here & ill).sum()))
    return told


def between(
    told: dict[str, dict[str, Any]], scores: np.ndarray, ill: np.ndarray, point: float
) -> list[int]:
    """What a reader works out: patients between the threshold and the ends of bins added up."""
    bins, found = [told[f"cal.b{number:02d}"] for number in range(1, 11)], []
    for rows, above in ((bins[::-1], scores >= point), (bins, scores < point)):
        total = np.array([0, 0])
        for row in rows:
            if row["n"] is None:
                break
            total += np.array([row["positives"], row["n"] - row["positives"]])
            found += list(abs(total - [(above & ill).sum(), (above & ~ill).sum()]))
    return found


def test_a_threshold_between_two_tenths_gives_nobody_away() -> None:
    """One ill patient between 0.46 and 0.5: the bins above and the sensitivity would tell."""
    scores = np.array([*np.linspace(0.01, 0.44, 200), 0.48, *np.linspace(0.51, 0.99, 200)])
    ill = np.arange(401) % 2 == 0
    assert ill[200]

    at_half, at_point = (shown(scored(scores, ill, point)) for point in (0.5, 0.46))

    assert at_half["cal.b10"] != HIDDEN
    assert all(at_point[f"cal.b{number:02d}"] == HIDDEN for number in range(1, 11))
    assert at_point["sensitivity"]["n"] == 401


def test_whatever_the_scores_the_threshold_and_the_bins_tell_of_no_few() -> None:
    """Of all sizes: a gap that can be worked out holds the floor, or the bins are gone."""
    random, told_once = np.random.default_rng(5), 0
    for size in (60, 150, 400, 950) * 40:
        scores = random.random(size)
        ill = random.random(size) < 0.2 + 0.6 * scores
        point = round(float(random.uniform(0.2, 0.8)), 2)
        told = shown(scored(scores, ill, point))
        gaps = between(told, scores, ill, point)
        told_once += bool(gaps)
        if round(point * 100) % 10:
            assert not [gap for gap in gaps if gap < FLOOR], (size, point)
    assert told_once > 20


def test_accuracy_stands_in_for_what_is_not_listed() -> None:
    """Of sensitivity, specificity and accuracy any two give the third."""
    scores = np.array([*np.linspace(0.01, 0.44, 200), 0.48, *np.linspace(0.51, 0.99, 200)])
    ill = np.arange(401) % 2 == 0
    told = scored(scores, ill, 0.5)
    assert shown(told)["cal.b10"] != HIDDEN
    for left_out in ("sensitivity", "specificity", "accuracy"):
        told = scored(scores, ill, 0.46)
        del told[left_out]
        assert shown(told)["cal.b10"] == HIDDEN
