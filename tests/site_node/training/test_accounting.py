"""What noise costs: two accountants agree, steps are counted and not epochs."""

from __future__ import annotations

import csv
import math
from decimal import Decimal
from itertools import accumulate

import pytest
from opacus.accountants import PRVAccountant
from opacus.accountants.analysis.rdp import compute_rdp, get_privacy_spent
from opacus.accountants.utils import get_noise_multiplier

from compliance.errors import Refused
from compliance.records.charter import PrivacyTerms
from compliance.records.recipe import shipped, with_changes
from compliance.rules import noise
from compliance.rules.noise import check_delta, check_terms, largest_delta, rounded_up, sample_rate
from compliance.rules.pricing import ORDERS, bound_of
from site_node.training.accounting import epsilon_of, merged
from tests.shared import shared_data

DELTA = Decimal("0.00001")
TERMS = PrivacyTerms(unit="patient", epsilon="8", delta="0.00001", accountant="prv")
NOISY = shipped()["cnn2d-small-dp"]


def spell(sigma: str, rate: str, steps: int) -> tuple[Decimal, Decimal, int]:
    """So many steps of one kind."""
    return Decimal(sigma), Decimal(rate), steps


def test_the_sum_of_many_rounds_is_the_accountants_own_after_every_step() -> None:
    """Three studies of other noise, booked round by round as Opacus books step by step."""
    rounds = [("1", "0.05", 4), ("1", "0.05", 4), ("2", "0.1", 7), ("1", "0.05", 1)]
    books, booked = PRVAccountant(), list(accumulate([row] for row in rounds))

    for history, (sigma, rate, steps) in zip(booked, rounds, strict=True):
        for _ in range(steps):
            books.step(noise_multiplier=float(sigma), sample_rate=float(rate))
        found = epsilon_of([spell(*row) for row in history], DELTA)
        assert found == pytest.approx(books.get_epsilon(delta=1e-5), rel=0.01)


@pytest.mark.parametrize(("sigma", "epsilon"), [("0.8", 9.0), ("1", 5.5), ("1.5", 2.8), ("2", 1.9)])
def test_another_accountant_agrees_within_a_tenth(sigma: str, epsilon: float) -> None:
    """RDP is looser and never far away where studies are: 2,000 patients, batch 32, 3,100 steps."""
    history = [spell(sigma, "0.016", 3100)]

    reported, beside = epsilon_of(history, DELTA), epsilon_of(history, DELTA, "rdp")

    assert reported == pytest.approx(epsilon, abs=0.05)
    assert reported < beside <= 1.1 * reported


CLAIMED = {"cleveland": 1.29, "hungarian": 1.41, "switzerland": 3.91, "va": 2.10}


@pytest.mark.filterwarnings("ignore:Optimal order is the largest alpha")  # Opacus' search for sigma
@pytest.mark.parametrize("site", sorted(CLAIMED))
def test_a_claim_of_one_reads_what_its_steps_cost(site: str) -> None:
    """FLamby's example books 15 epochs and takes 15 x 100 updates of 4: Switzerland pays 3.9."""
    with shared_data("flamby", "heart_split.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["set"] == "train"]
    batches = -(-sum(row["site"] == site for row in rows) // 4)
    sigma = get_noise_multiplier(
        target_epsilon=1.0,
        target_delta=1e-3,
        sample_rate=1 / batches,
        epochs=15,
        accountant="rdp",
    )
    kind = Decimal(repr(sigma)), Decimal(repr(1 / batches))

    assert epsilon_of([(*kind, 1500)], Decimal("0.001")) == pytest.approx(CLAIMED[site], abs=0.01)
    assert epsilon_of([(*kind, 15 * batches)], Decimal("0.001"), "rdp") <= 1


@pytest.mark.parametrize("sigma", ["0", "0.1", "0.29"])
def test_noise_that_no_accountant_can_price_costs_everything(sigma: str) -> None:
    """Below 0.3 the accountant overflows, after long thought."""
    assert epsilon_of([spell(sigma, "0.1", 1)], DELTA) == math.inf


def test_an_accountant_that_fails_counts_as_infinite(monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be priced is not sold."""

    def fails(*_: object, **__: object) -> float:
        raise OverflowError

    monkeypatch.setattr(PRVAccountant, "get_epsilon", fails)

    assert epsilon_of([spell("1.25", "0.1", 3)], DELTA) == math.inf


def test_no_step_costs_nothing() -> None:
    """And no delta is no statement."""
    assert epsilon_of([], DELTA) == 0
    assert epsilon_of([spell("1.5", "0.1", 1)], Decimal(0)) == math.inf


def test_equal_steps_are_counted_together() -> None:
    """Thirty different spells would take twelve seconds."""
    rows = [spell("1", "0.1", 2), spell("2", "0.1", 1), spell("1", "0.1", 3), spell("1", "0.2", 0)]

    assert merged(rows) == (spell("1", "0.1", 5), spell("2", "0.1", 1))


def test_a_patient_is_drawn_at_least_as_often_as_is_stated() -> None:
    """The rate is rounded up, and used as it is stated."""
    assert sample_rate(32, 300) == Decimal("0.106667")
    assert sample_rate(32, 30) == 1
    assert sample_rate(1, 0) == 1
    assert rounded_up(1.0000001) == Decimal("1.000001")


def test_delta_stays_below_a_tenth_of_a_patient() -> None:
    """At 1/n a whole patient could be handed out."""
    assert largest_delta(30) == DELTA
    assert largest_delta(100_000) == Decimal("0.000001")
    check_delta(TERMS, 9000)
    with pytest.raises(Refused, match="delta"):
        check_delta(TERMS, 20_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "balanced"},
        {"local": {"scaffold": True}},
        {"network": {"name": "resnet18"}, "preprocessing": {"size": [32, 32]}},
        {"dp": None},
    ],
)
def test_a_recipe_that_cannot_keep_the_promise_is_refused(changes: dict[str, object]) -> None:
    """Weights follow single patients, SCAFFOLD keeps bare gradients, a residual has none alone."""
    check_terms(TERMS, NOISY)
    with pytest.raises(Refused) as caught:
        check_terms(TERMS, with_changes(NOISY, changes))
    assert caught.value.rule == "recipe.dp"


def test_masks_and_tables_train_with_noise_and_a_residual_in_place_does_not() -> None:
    """What decides is whether a case has a gradient of its own, not what it answers."""
    terms = {"sigma": "1", "clip": "1", "batch": 8}
    check_terms(TERMS, with_changes(shipped()["unet"], {"dp": terms}))
    with pytest.raises(Refused, match="in place") as caught:
        check_terms(TERMS, with_changes(shipped()["segresnet"], {"dp": terms}))
    assert caught.value.rule == "recipe.dp"

    table = {"dp": terms, "class_weights": "none", "local": {"scaffold": False}}
    check_terms(TERMS, with_changes(shipped()["logistic-table"], table))


def test_noise_without_a_cap_is_refused() -> None:
    """Otherwise nobody would have agreed how much."""
    with pytest.raises(Refused):
        check_terms(None, NOISY)


def test_a_network_that_nobody_examined_is_refused() -> None:
    """The list of proven ones is closed."""
    assert noise.why_not("something_new") == noise.UNKNOWN


@pytest.mark.filterwarnings("ignore:Optimal order is the")
@pytest.mark.parametrize("rate", ["0.005", "0.05", "0.25", "1"])
@pytest.mark.parametrize("sigma", ["0.5", "1", "3"])
def test_the_price_before_signing_is_that_of_opacus_at_the_same_orders(
    sigma: str, rate: str
) -> None:
    """A hub without torch tells the very same bound."""
    steps = compute_rdp(q=float(rate), noise_multiplier=float(sigma), steps=200, orders=[*ORDERS])
    beside, _ = get_privacy_spent(orders=[*ORDERS], rdp=steps, delta=float(DELTA))

    here = bound_of(Decimal(sigma), Decimal(rate), 200, DELTA)

    assert here == pytest.approx(beside, rel=1e-9)


@pytest.mark.parametrize(("sigma", "rate"), [("1", "0.05"), ("2", "0.25"), ("3", "0.02")])
def test_what_is_charged_is_never_above_the_price_before_signing(sigma: str, rate: str) -> None:
    """And not far below it: the form would talk people out of what they can afford."""
    here = bound_of(Decimal(sigma), Decimal(rate), 400, DELTA)
    charged = epsilon_of([spell(sigma, rate, 400)], DELTA)

    assert charged <= here <= 1.25 * charged
