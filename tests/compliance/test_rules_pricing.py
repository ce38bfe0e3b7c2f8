"""The price of noise before signing: an upper bound that nobody can talk down."""

from __future__ import annotations

import math
from decimal import Decimal

import pytest

from compliance.records.recipe import shipped
from compliance.rules.noise import refused_noise
from compliance.rules.pricing import ORDERS, bound_of, least_sigma, most_steps

DELTA = Decimal("0.00001")
RATE = Decimal("0.016")


@pytest.mark.parametrize(("sigma", "charged"), [("0.8", 9.0), ("1", 5.5), ("1.5", 2.8), ("2", 1.9)])
def test_the_bound_is_above_what_hospitals_charge_and_near_it(sigma: str, charged: float) -> None:
    """2,000 patients, batch 32, 3,100 steps: the guide's figures by PRV."""
    found = bound_of(Decimal(sigma), RATE, 3100, DELTA)

    assert charged < found < 1.15 * charged


def test_everybody_in_every_step_costs_what_the_textbook_says() -> None:
    """Without sampling a step of order a costs a by 2 sigma²."""
    price = min(
        20 * a / (2 * 25) + math.log1p(-1 / a) - (math.log(DELTA) + math.log(a)) / (a - 1)
        for a in ORDERS
    )

    assert bound_of(Decimal(5), Decimal(1), 20, DELTA) == pytest.approx(price)


def test_rare_patients_cost_less_and_more_steps_more() -> None:
    """Each number moves the price its own way."""
    base = bound_of(Decimal(1), RATE, 1000, DELTA)

    assert bound_of(Decimal(1), RATE / 2, 1000, DELTA) < base
    assert bound_of(Decimal(1), RATE, 2000, DELTA) > base
    assert bound_of(Decimal(2), RATE, 1000, DELTA) < base
    assert bound_of(Decimal(1), RATE, 1000, DELTA / 10) > base


def test_what_cannot_be_priced_is_infinite_and_no_step_costs_nothing() -> None:
    """Too little noise, no delta; nothing taken; nobody drawn."""
    assert bound_of(Decimal("0.29"), RATE, 1, DELTA) == math.inf
    assert bound_of(Decimal(1), RATE, 1, Decimal(0)) == math.inf
    assert bound_of(Decimal(1), RATE, 0, DELTA) == 0
    assert bound_of(Decimal(1), Decimal(0), 1, DELTA) < 0.03
    assert most_steps(Decimal("0.29"), RATE, DELTA, Decimal(8)) == 0
    assert most_steps(Decimal(1), Decimal(0), DELTA, Decimal(8)) is None


@pytest.mark.parametrize("cap", ["0.5", "1", "4", "8"])
def test_the_most_steps_fit_and_one_more_does_not(cap: str) -> None:
    """The number of steps is the bound's own, to the step."""
    steps = most_steps(Decimal(1), RATE, DELTA, Decimal(cap))

    assert steps is not None
    assert bound_of(Decimal(1), RATE, steps, DELTA) <= float(cap)
    assert bound_of(Decimal(1), RATE, steps + 1, DELTA) > float(cap)


def test_the_least_noise_is_enough_and_a_hundredth_less_is_not() -> None:
    """What the form proposes fits; where nothing fits it says so."""
    sigma = least_sigma(RATE, 3100, DELTA, Decimal(4))

    assert sigma is not None
    assert bound_of(sigma, RATE, 3100, DELTA) <= 4
    assert bound_of(sigma - Decimal("0.01"), RATE, 3100, DELTA) > 4
    assert least_sigma(Decimal(1), 100_000, DELTA, Decimal("0.1")) is None


def test_every_recipe_says_whether_it_can_train_with_noise() -> None:
    """Networks that add in place cannot, whatever their numbers; others can, and draw masks too."""
    told = {name: refused_noise(recipe) for name, recipe in shipped().items()}

    assert told["cnn2d-small"] is told["heart-logistic"] is told["unet"] is None
    assert "in place" in str(told["resnet18"])
    assert "in place" in str(told["segresnet"])
