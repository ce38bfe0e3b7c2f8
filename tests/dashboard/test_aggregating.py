"""The wizard's question about aggregation: an honest default and an honest sentence."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.rules.honest import LIMITS, STEERS, default_rule, needed, what_may_be_said
from compliance.rules.methods import AGGREGATORS
from dashboard.aggregating import MASKED, aggregator_of, answers_of, least_of
from dashboard.tabs import comparing
from tests.dashboard.stage import SITES, Stage
from tests.dashboard.test_views import asked, draw, wire, words
from tests.dashboard.test_wizard import drafted, refusals, stage

__all__ = ["draw", "stage", "wire"]


@pytest.mark.parametrize(
    ("sites", "rule", "f", "sentence"),
    [
        (1, "fedavg", None, STEERS),
        (2, "fedavg", None, STEERS),
        (3, "clipped_mean", None, LIMITS),
        (4, "clipped_mean", None, LIMITS),
        (5, "nnm_trimmed", 1, "Withstands 1 hospital that lies."),
        (10, "nnm_trimmed", 2, "Withstands 2 hospitals that lie."),
        (64, "nnm_trimmed", 12, "Withstands 12 hospitals that lie."),
    ],
)
def test_the_default_follows_the_number_of_hospitals(sites, rule, f, sentence):
    """And its sentence says neither more nor less than what it bears."""
    found = default_rule(sites)

    assert (found.rule, found.f) == (rule, f)
    assert found.min_sites <= max(sites, 1)
    assert what_may_be_said(rule, found.min_sites, f) == sentence


@pytest.mark.parametrize("rule", AGGREGATORS)
@pytest.mark.parametrize("sites", range(1, 5))
def test_below_five_nothing_is_called_robust(rule, sites):
    """Whatever is chosen: no word of withstanding."""
    said = what_may_be_said(rule, sites, 1)

    assert "Withstands" not in said
    assert "robust" not in said.replace("not Byzantine-robust", "")


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("fedavg", {}),
        ("fedavg", {"norm_max": "5", "weight_cap": "0.5"}),
        ("nnm_trimmed.yogi", {"f": "2", "server_lr": "0.02", "beta1": "0.8"}),
        ("median", {"keep_updates": "1"}),
        ("fltrust.adam", {"server_lr": "0.01", "tau": "0.001"}),
        ("fedavg.adam", {"server_lr": "0.01", "n_ref": "500", "mask_range": "2"}),
    ],
)
def test_an_aggregator_goes_through_the_form_and_stays_as_it_was(name, params):
    """Also the parameters that the form does not ask."""
    told = {"name": name, "params": params, "masked": "n_ref" in params}

    assert aggregator_of(answers_of({"aggregator": told})) == {"aggregator": told}


def test_masks_ask_for_three_hospitals_and_keep_no_updates():
    """What masks exclude is not in the draft, and is said beside the box."""
    answers = {"aggregator": "fedavg", "masked": True, "n_ref": 300, "keep_updates": True}

    assert aggregator_of(answers)["aggregator"]["params"] == {"n_ref": "300"}
    assert least_of(answers, 5) == 3
    assert all(word in MASKED for word in ("Shapley", "liars", "kept", "weights"))


def test_another_rule_drops_the_parameters_of_the_old_one():
    """A weight cap says nothing to a median, and the hub would refuse it."""
    answers = answers_of({"aggregator": {"name": "fedavg", "params": {"weight_cap": "0.5"}}})

    found = aggregator_of(answers | {"aggregator": "median"})["aggregator"]

    assert (found["name"], found["params"]) == ("median", {})


@pytest.mark.parametrize(
    ("rule", "f", "least"),
    [
        ("fedavg", None, 1),
        ("median", None, 1),
        ("trimmed_mean", 2, 5),
        ("nnm_trimmed", 1, 5),
        ("nnm_trimmed", 3, 7),
        ("fltrust", None, 2),
    ],
)
def test_a_rule_says_how_many_it_needs(rule, f, least):
    """So that a round is never opened that could not be closed."""
    assert needed(rule, f) == least
    assert least_of({"aggregator": rule, "f": f}, 20) == least


def test_the_wizard_proposes_and_says_what_it_bears(draw: Any, stage: Stage):
    """Three hospitals: clipped, and not robust; another choice reaches the draft."""
    at = draw("draft")
    data = asked(at, "multiselect", "Data sets")
    for site in SITES:
        data = asked(at, "multiselect", "Data sets").select(f"{site}|cxr")
        at = data.run() or at
    assert drafted(at, stage)["aggregator"]["name"] == "clipped_mean"
    assert LIMITS in words(at)

    asked(at, "selectbox", "How updates become one model").select("trimmed_mean").run()

    draft = drafted(at, stage)
    assert draft["aggregator"] == {"name": "trimmed_mean", "params": {"f": "1"}, "masked": False}
    assert draft["min_sites"] == 3
    assert "charter.terms" not in refusals(at, stage)


@pytest.mark.parametrize("sites", [2, 4, 5, 10])
def test_the_rules_stand_side_by_side_with_what_they_bear_and_exclude(sites):
    """One is proposed; below five none withstands anybody; only the mean can be masked."""
    rows = comparing.rows(sites)

    assert len(rows) == len(AGGREGATORS)
    assert sum(row["Rule"].endswith("(proposed)") for row in rows) == 1
    assert any("Withstands" in row["Bears"] for row in rows) is (sites >= 5)
    assert sum("can be masked" in row["Needs and excludes"] for row in rows) == 1
    assert (
        "needs 5 hospitals a round"
        in rows[list(AGGREGATORS).index("nnm_trimmed")]["Needs and excludes"]
        or sites == 10
    )
