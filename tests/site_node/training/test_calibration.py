"""Whether scores mean what they say: bins, their error, losses, and thresholds that do not move."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from compliance.records.measures import BINS
from site_node.training.calibration import bin_claims, bins_of, value_of
from site_node.training.evaluation import NOTHING, Scored, gains, measure
from site_node.training.measuring import Measuring, Terms
from site_node.training.thresholds import chosen, point_claim


def scored(n: int, *, seed: int = 0, sharper: float = 1.0) -> Scored:
    """Scores that mean what they say where `sharper` is 1; larger is too sure of itself."""
    random = np.random.default_rng(seed)
    chance = random.random(n)
    odds = (chance / (1 - chance)) ** sharper
    return Scored((odds / (1 + odds))[:, None], (random.random(n) < chance)[:, None])


def columns(some: Scored) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of two classes."""
    return some.scores[:, 0], some.labels[:, 0]


def test_the_calibration_error_is_the_weighted_gap_of_the_bins():
    """By hand: each bin's mean score less its share of positives, weighted by its patients."""
    scores, truth = columns(scored(400, sharper=2.5))
    by_hand = 0.0
    for number in range(10):
        inside = (scores >= number / 10) & (scores < (number + 1) / 10)
        if inside.any():
            by_hand += inside.mean() * abs(scores[inside].mean() - truth[inside].mean())

    found = value_of("ece", scores, truth, seed=3)

    assert found.value == pytest.approx(by_hand)
    assert found.low <= found.value <= found.high
    assert found.value > 3 * value_of("ece", *columns(scored(4000)), seed=3).value


def test_losses_equal_their_definitions_and_a_sure_mistake_stays_finite():
    """Brier 1950 and the negative log-likelihood; a score of 1 for a negative is no infinity."""
    scores, truth = np.array([0.9, 0.2, 1.0]), np.array([True, False, False])

    assert value_of("brier", scores, truth, seed=0).value == pytest.approx((0.01 + 0.04 + 1) / 3)
    by_hand = -(np.log(0.9) + np.log(0.8) + np.log(1e-6)) / 3
    assert value_of("loss", scores, truth, seed=0).value == pytest.approx(by_hand)


def test_the_interval_of_a_loss_holds_the_truth_as_often_as_it_says():
    """95 % ends from 1,000 draws of patients; of 200 samples well above 170 hold the true value."""
    random, held = np.random.default_rng(5), 0
    for _ in range(200):
        chance = random.random(120)
        found = value_of("brier", chance, random.random(120) < chance, seed=1)
        held += found.low <= 1 / 6 <= found.high

    assert held > 170
    assert value_of("brier", *columns(scored(60)), seed=9) == value_of(
        "brier", *columns(scored(60)), seed=9
    )


def test_a_bin_with_few_says_nothing_and_an_empty_one_looks_the_same():
    """Three positives among two hundred are in no bin; neither is it told that a bin is empty."""
    scores = np.r_[np.full(200, 0.05), np.full(60, 0.55), np.full(40, 1.0)]
    truth = np.r_[np.arange(200) < 3, np.arange(60) < 30, np.arange(40) < 35]

    found = bin_claims(scores, truth, 5)

    assert list(found) == list(BINS)
    assert found["cal.b01"] == found["cal.b02"] == NOTHING
    assert found["cal.b06"]["value"] == Decimal("0.5")
    assert (found["cal.b10"]["n"], found["cal.b10"]["positives"]) == (40, 35)
    assert bins_of(np.array([0.0, 0.1, 0.999, 1.0])).tolist() == [0, 1, 9, 9]


def test_two_models_on_the_same_patients_differ_by_less_than_their_intervals_say(makers):
    """Paired: a lead that two intervals side by side would hide is seen."""
    own = scored(300, seed=2)
    better = Scored(0.93 * own.scores + 0.07 * own.labels, own.labels)
    names = ["gain.auroc", "gain.accuracy", "auroc", "accuracy"]
    terms = {"min_cell": 5, "names": names}

    lead = gains(better, own, makers.recipe(), points=(0.5, 0.5), **terms)["gain.auroc"]
    one, other = (measure(x, makers.recipe(), **terms)["auroc"] for x in (better, own))

    assert float(lead["value"]) == pytest.approx(float(one["value"] - other["value"]), abs=2e-6)
    assert lead["low"] > 0
    assert one["low"] < other["high"]
    assert (lead["n"], lead["positives"]) == (300, int(own.labels.sum()))
    same = gains(own, own, makers.recipe(), points=(0.5, 0.5), **terms)
    assert same["gain.accuracy"]["low"] < same["gain.accuracy"]["value"] == 0
    assert same["gain.accuracy"]["high"] > 0


@pytest.mark.parametrize("positives", [0, 3])
def test_no_lead_is_told_of_too_few(makers, positives):
    """Zero and three positives look the same; with seven there are counts and no AUROC."""
    few = Scored(np.linspace(0, 1, 90)[:, None], (np.arange(90) < positives)[:, None])
    seven = Scored(few.scores, (np.arange(90) < 7)[:, None])
    terms = {"min_cell": 5, "names": ["gain.auroc", "gain.accuracy"], "points": (0.5, 0.5)}

    assert gains(few, few, makers.recipe(), **terms) == dict.fromkeys(terms["names"], NOTHING)
    told = gains(seven, seven, makers.recipe(), **terms)
    assert told["gain.auroc"] == {**NOTHING, "n": 90, "positives": 7}


def test_a_threshold_is_a_hundredth_and_nobodys_own_score(makers):
    """The point of the largest Youden index; of equals the one nearest to one half."""
    truth = np.arange(60) < 30
    scores = np.where(truth, 0.3123, 0.1007)[:, None]

    point = chosen(Scored(scores, truth[:, None]), makers.recipe())

    assert point == Decimal("0.31")
    wide = np.where(truth, 0.93, 0.07)[:, None]
    assert chosen(Scored(wide, truth[:, None]), makers.recipe()) == Decimal("0.5")


@pytest.mark.parametrize(("positives", "task"), [(9, "binary"), (0, "binary"), (30, "multilabel")])
def test_no_threshold_is_chosen_by_chance(makers, positives, task):
    """Fewer than ten on either side, or several classes: 0.5 stays."""
    labels = np.zeros((60, 1 if task == "binary" else 3), bool)
    labels[:positives] = True

    assert chosen(Scored(labels * 0.5, labels), makers.recipe(task)) is None
    assert point_claim(None, Scored(labels * 0.5, labels), 5) == NOTHING


NAMES = ["auroc", "sensitivity", "specificity", "threshold"]


@pytest.mark.parametrize("frozen", ["0.2", "0.8", None])
def test_a_frozen_threshold_is_used_and_not_chosen_again(makers, monkeypatch, frozen):
    """Whatever the new scores would suggest: the same point, and nothing new to freeze."""
    some = scored(200)
    monkeypatch.setattr("site_node.training.measuring.score_patients", lambda *_: some)
    recipe = makers.recipe()
    measuring = Measuring(makers.hospital(), Terms(recipe, NAMES, 5, {"": frozen}, choose=True))

    found = measuring.model(None, phase="before_training")

    used = 0.5 if frozen is None else float(frozen)
    expected = measure(some, recipe, min_cell=5, names=NAMES, point=used)
    assert measuring.chosen == {}
    assert [values["sensitivity"] for _, _, values in found] == [expected["sensitivity"]] * 2
    told = found[0][2]["threshold"]["value"]
    assert told == (None if frozen is None else Decimal(frozen))
    assert "threshold" not in found[1][2]


def test_the_threshold_is_chosen_on_validation_and_never_on_test(makers, monkeypatch):
    """Test patients would all be told apart at 0.9; the validation patients decide."""
    truth = np.arange(80) < 40
    parts = {
        "validation": Scored(np.where(truth, 0.6, 0.2)[:, None], truth[:, None]),
        "test": Scored(np.where(truth, 0.95, 0.85)[:, None], truth[:, None]),
    }
    data, rows = makers.hospital(), {}
    for name in parts:
        rows[tuple(data.rows(name))] = name
    monkeypatch.setattr(
        "site_node.training.measuring.score_patients",
        lambda _, split, __: parts[rows[tuple(split.rows)]],
    )
    terms = Terms(makers.recipe(), NAMES, 5, {}, choose=True)

    measuring = Measuring(data, terms)
    test = measuring.model(None, phase="before_training")[1][2]

    assert measuring.chosen == {"": "0.5"}
    assert test["specificity"]["value"] == 0
    drawn = Measuring(data, Terms(makers.recipe(), NAMES, 5))
    drawn.model(None, phase="before_training")
    assert drawn.chosen == {}
