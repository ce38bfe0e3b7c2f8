"""The next models of many coalitions are what the study's rule makes of each coalition alone."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from compliance.records.charter import AggregatorRef
from compliance.rules.sweeps import Plan
from hub.federation.aggregation.again import Method
from hub.federation.aggregation.aggregator import Inputs
from hub.federation.aggregation.rule import Sections, Update
from hub.federation.aggregation.stacked import Sent, empty_moments, next_models
from hub.federation.aggregation.vectors import ArrayVector

SITES = ("east.example", "north.example", "south.example")
PLAN = Plan("here", SITES, (0,), 1, tuple(range(8)))
ITEMS = PLAN.batches(50)[0]
CASES = {"east.example": 30, "north.example": 70, "south.example": 200}


def method(name: str = "fedavg", **params: str) -> Method:
    """A rule."""
    return Method(AggregatorRef(name=name, params=params, masked=False), Sections(50, 50))


def sent(seed: int) -> dict[str, Sent]:
    """Updates of all three hospitals."""
    random, found = np.random.default_rng(seed), {}
    for site in SITES:
        places = PLAN.places(ITEMS, site)
        values = random.normal(size=(len(places), 50)).astype(np.float32)
        found[site] = Sent(values, places, CASES[site])
    return found


@pytest.mark.parametrize(
    ("name", "params"),
    [("fedavg", {}), ("clipped_mean", {"weight_cap": "0.5"}), ("median", {})],
)
def test_every_coalition_is_made_of_its_members_alone(name: str, params: dict[str, str]) -> None:
    """Bit for bit what the rule gives for these updates; the empty coalition stays."""
    rule, told = method(name, **params), sent(1)
    models = np.random.default_rng(0).normal(size=(8, 50)).astype(np.float32)

    made = next_models(rule, models, empty_moments(rule, 8), told)

    assert made[0].tobytes() == models[0].tobytes()
    for place in range(1, 8):
        updates = {
            site: Update(ArrayVector(told[site].values[list(told[site].places).index(place)]), n)
            for site, n in CASES.items()
            if place in told[site].places
        }
        out = np.empty(50, np.float32)
        inputs = Inputs(ArrayVector(models[place]), updates, rule.sections)
        rule.aggregator().apply(inputs, ArrayVector(out))
        assert made[place].tobytes() == out.tobytes()


def test_a_server_step_remembers_for_each_coalition() -> None:
    """Two steps with momentum: each coalition has its own."""
    rule = method("fedavg.avgm", server_lr="1", beta1="0.5")
    models, moments = np.zeros((8, 50), np.float32), empty_moments(rule, 8)

    once = next_models(rule, models, moments, sent(1))
    twice = next_models(rule, once, moments, sent(2))

    for site, place in zip(SITES, (1, 2, 4), strict=True):  # each alone: m = d/2, then m/2 + d/2
        first, second = (
            row[site].values[list(row[site].places).index(place)] for row in (sent(1), sent(2))
        )
        wanted = 0.5 * first + (0.25 * first + 0.5 * second)
        assert np.allclose(twice[place], wanted, atol=1e-6)
    assert not twice[0].any()


def test_the_order_of_replies_changes_nothing() -> None:
    """Sorted by name, whoever is first."""
    rule, told = method(weight_cap=str(Decimal("0.6"))), sent(3)
    models = np.zeros((8, 50), np.float32)

    one = next_models(rule, models, empty_moments(rule, 8), told)
    other = next_models(rule, models, empty_moments(rule, 8), dict(reversed(told.items())))

    assert one.tobytes() == other.tobytes()
