"""Measured coalitions: what a hospital may say of them, and that nobody can leave one out."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from compliance.canonical import digest_of
from compliance.records.coalitions import MOST_STATEMENTS, MOST_VALUES
from compliance.rules.coalitions import inputs_of
from compliance.rules.contribution import by_inputs, valued
from compliance.rules.sweeps import MOST_BYTES, Plan, draw_orders, statements
from tests import factories as make
from tests import sweeps
from tests.simulator import HUB, Federation, refused

THREE = make.NAMES[:3]
FIRST = THREE[0]
NODE = f"{FIRST}/node"


def world(rule: dict[str, Any] | None = None, **charter: Any) -> Federation:
    """A study of one round whose sweep is due."""
    terms = {"contribution": rule or sweeps.rule(), "max_rounds": 1}
    return Federation(sites=THREE, **(terms | charter)).play_round()


def test_an_account_of_measured_coalitions_is_the_same_for_every_reader() -> None:
    """Every hospital measures every seed, the hub lays down the hash, the shares follow."""
    told = sweeps.accounted(world())

    inputs = inputs_of(told.state, sweeps.plan(told))

    assert inputs is not None
    assert told.state.accounts == {digest_of(inputs): inputs}
    assert by_inputs(inputs) == dict.fromkeys(THREE, Fraction(1, 3))
    whole = Fraction(12, sweeps.CASES)
    assert sum((row.mean for row in valued(inputs).values()), Fraction(0)) == whole


def changed(**values: Any) -> dict[str, Any]:
    """One coalition's row."""
    return {"n": sweeps.CASES, "correct": 30, "value": None} | values


LIES: dict[str, tuple[str, dict[str, Any]]] = {
    "more correct than cases": ("coalition.counts", {"3": changed(correct=51)}),
    "another number of cases": ("coalition.counts", {"3": changed(n=60)}),
    "both a count and a value": ("coalition.counts", {"3": changed(value="0.6")}),
    "a value above one": ("coalition.counts", {"3": changed(correct=None, value="1.5")}),
    "a value without cases": ("coalition.counts", {"3": changed(n=None)}),
    "few correct": ("metric.floor", {"3": changed(correct=4)}),
    "few wrong": ("metric.floor", {"3": changed(correct=sweeps.CASES - 4)}),
    "a coalition of strangers": ("coalition.sweep", {"8": changed()}),
}


@pytest.mark.parametrize("lie", LIES)
def test_impossible_counts_never_enter_the_log(lie: str) -> None:
    """Above n, below the floor, or of other cases than the rest."""
    told = world()
    rule, values = LIES[lie]
    body = sweeps.said(told, FIRST)

    verdict = told.say("coalition.measured", body | {"values": body["values"] | values}, NODE)

    assert refused(verdict) == rule


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("coalition.sweep", {"sweep": "sweep-0000000000000000"}),
        ("coalition.sweep", {"seed": 5}),
        ("dataset.version", {"dataset_version": make.sha("another")}),
    ],
)
def test_only_the_sweep_of_the_charter_is_measured(rule: str, changes: dict[str, Any]) -> None:
    """Another sweep, a sixth seed, other data."""
    told = world()

    assert (
        refused(told.say("coalition.measured", sweeps.said(told, FIRST, **changes), NODE)) == rule
    )


def test_a_sweep_is_due_after_the_last_round_and_only_where_the_charter_has_one() -> None:
    """Before it, and under another rule, nothing is measured."""
    due = world()
    body = sweeps.said(due, FIRST)
    early = Federation(sites=THREE, contribution=sweeps.rule(), max_rounds=2).play_round()
    other = world({"rule": "cases", "params": {}})

    for told in (early, other):
        assert refused(told.say("coalition.measured", body, NODE)) == "coalition.sweep"
    assert refused(due.say("coalition.measured", body, HUB)) == "authority"


def test_a_hospital_measures_a_coalition_once_and_all_measure_the_same_models() -> None:
    """A second word, and a hub that shows one hospital another stack than the others."""
    told = world()
    told.must("coalition.measured", sweeps.said(told, FIRST), NODE)
    second, other = THREE[1], make.sha("another stack")

    again = told.say("coalition.measured", sweeps.said(told, FIRST), NODE)
    split = told.say(
        "coalition.measured", sweeps.said(told, second, models_sha256=other), f"{second}/node"
    )

    assert (refused(again), refused(split)) == ("coalition.sweep", "coalition.models")


def test_a_hub_that_leaves_a_coalition_or_a_hospital_out_gets_no_account() -> None:
    """Inputs are what all measured of everything; any other hash is refused."""
    told = world()
    assert refused(told.say("contribution.measured", sweeps.account(told), HUB)) == (
        "contribution.inputs"
    )
    sweeps.measured(told)
    inputs = inputs_of(told.state, sweeps.plan(told))
    assert inputs is not None
    inputs["seeds"]["0"].pop("3")

    lie = sweeps.account(told, inputs_sha256=digest_of(inputs))

    assert refused(told.say("contribution.measured", lie, HUB)) == "contribution.inputs"
    told.must("contribution.measured", sweeps.account(told), HUB)


def test_a_hospital_that_leaves_makes_it_another_sweep() -> None:
    """What was measured with it does not count for the others."""
    told = world()
    before = sweeps.plan(told)
    told.must("coalition.measured", sweeps.said(told, FIRST), NODE)
    told.leave(THREE[2])

    after = sweeps.plan(told)

    assert after.name != before.name
    assert after.sites == THREE[:2]
    assert len(after.coalitions) == 4
    sweeps.accounted(told)


def test_batches_carry_every_model_once_and_no_more_than_one_order_can() -> None:
    """Whole seeds beside each other where they fit; never above the size of an order."""
    due = sweeps.plan(world())
    everything = [(seed, one) for seed in range(5) for one in range(8)]

    small, large = due.batches(14), due.batches(MOST_BYTES // 4 // 8)

    assert [len(batch) for batch in small] == [40]
    assert [len(batch) for batch in large] == [8] * 5
    assert [item for batch in large for item in batch] == small[0] == everything


def test_a_reply_can_hold_the_statements_of_a_batch() -> None:
    """Nine hospitals have more coalitions than a statement holds, a hundred seeds more than one."""
    due = Plan("sweep-x", tuple("abcdefghi"), tuple(range(100)), 2, tuple(range(512)))

    found = due.batches(14)

    told = [(items, statements(items)) for items in found]
    assert len(found) == 4
    assert all(len(rows) <= MOST_STATEMENTS for _, rows in told)
    assert all(len(places) <= MOST_VALUES for _, rows in told for _, places in rows)
    assert [items[place] for items, rows in told for _, places in rows for place in places] == [
        (seed, one) for seed in range(100) for one in range(512)
    ]
    assert all({items[place][0] for place in places} == {seed}
               for items, rows in told for seed, places in rows)  # fmt: skip


def test_sampled_orders_are_drawn_evenly_and_by_nobody() -> None:
    """The same log draws the same orders; every hospital comes first about as often."""
    orders = draw_orders("seed", 10, 2000)

    assert orders == draw_orders("seed", 10, 2000) != draw_orders("other", 10, 2000)
    assert all(sorted(order) == list(range(10)) for order in orders)
    first = [sum(order[0] == place for order in orders) for place in range(10)]
    assert all(130 < count < 270 for count in first)  # 200 expected, five deviations of 13
