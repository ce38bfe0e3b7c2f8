"""Noise in the wizard: who can, what it costs each hospital, what fits; and what was spent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from compliance.rules.noise import sample_rate
from compliance.rules.pricing import bound_of
from dashboard import noise
from dashboard.drafting import answers_of, draft_of, read_draft, write_draft
from tests.dashboard.stage import SITES
from tests.dashboard.test_views import asked, button, draw, wire, words
from tests.dashboard.test_wizard import begun, drafted, refusals, stage

__all__ = ["draw", "stage", "wire"]
EAST, NORTH, SOUTH = SITES
TERMS = {"unit": "patient", "epsilon": "8", "delta": "0.00001", "accountant": "prv"}
NOISY: dict[str, Any] = {"recipe": {"id": "cnn2d-small-dp"}, "dp": TERMS}


def on(at: Any) -> Any:
    """The draft with noise."""
    return asked(at, "checkbox", "Train with noise").check().run()


def cells(at: Any, head: str) -> list[dict[str, str]]:
    """The rows of the table that has this column."""
    found = [table.value for table in at.table if head in table.value.columns]
    return [dict(row) for row in found[0].to_dict("records")]


def test_noise_chosen_in_the_form_makes_cap_and_recipe_that_fit(draw, stage) -> None:
    """One tick makes both halves; the charter's rules have nothing against them."""
    at = on(begun(draw, stage))
    asked(at, "number_input", "ε, the cap").set_value(4.0).run()
    asked(at, "number_input", "Noise (sigma)").set_value(1.5).run()
    asked(at, "number_input", "Patients a step").set_value(10).run()

    draft = drafted(at, stage)
    assert draft["dp"] == {**TERMS, "epsilon": "4"}
    changes = draft["recipe"]["changes"]
    assert changes["dp"] == {"sigma": "1.5", "clip": "1", "batch": 10}
    assert changes.get("class_weights", "none") == "none"
    assert refusals(at, stage) == {}
    assert button(at, "Propose to the hospitals").disabled is False


def test_without_noise_nothing_of_it_is_in_the_draft(draw, stage) -> None:
    """A tick taken back leaves no half behind that would be refused alone."""
    at = on(begun(draw, stage))
    asked(at, "number_input", "ε of North").set_value(2.0).run()
    assert drafted(at, stage)["datasets"][1]["epsilon"] == "2"

    asked(at, "checkbox", "Train with noise").uncheck().run()

    draft = drafted(at, stage)
    assert "dp" not in draft
    assert "dp" not in draft["recipe"]["changes"]
    assert all("epsilon" not in row for row in draft["datasets"])
    assert refusals(at, stage) == {}


def test_a_recipe_with_its_own_noise_asks_for_the_cap_at_once(draw, stage) -> None:
    """And without noise it is a changed recipe, not a charter that is refused."""
    at = begun(draw, stage)
    asked(at, "selectbox", "Recipe").select("cnn2d-small-dp").run()
    assert drafted(at, stage)["dp"] == TERMS
    assert refusals(at, stage) == {}

    asked(at, "checkbox", "Train with noise").uncheck().run()
    assert drafted(at, stage)["recipe"]["changes"]["dp"] is None
    assert refusals(at, stage) == {}


def test_a_recipe_that_cannot_says_why_and_offers_no_tick(draw, stage) -> None:
    """Its reason stands there, beside the list of those that can."""
    at = on(begun(draw, stage))
    asked(at, "selectbox", "Recipe").select("resnet18").run()

    assert "This recipe cannot train with noise: adds its residual in place" in words(at)
    assert not [item for item in at.checkbox if item.label.startswith("Train with noise")]
    assert "dp" not in drafted(at, stage)
    told = {row["Recipe"]: row["With noise"] for row in cells(at, "With noise")}
    assert told["cnn2d-small"] == "✓ yes"
    assert told["unet"] == "✓ yes"
    assert told["resnet18"].startswith("✕ no: adds its residual in place")


def test_each_hospital_sees_its_price_and_the_smallest_pays_most(draw, stage) -> None:
    """By the numbers written in the form; the bound is that of the rule, rounded up."""
    at = on(begun(draw, stage, max_rounds=3))
    for title, patients in (("East", 4000), ("North", 2000), ("South", 300)):
        asked(at, "number_input", f"Training patients of {title}").set_value(patients).run()

    rows = cells(at, "ε, first round")
    assert [row["Hospital"].split(",")[0] for row in rows] == [
        "South University Hospital", "North Hospital", "East Clinic",
    ]  # fmt: skip
    steps = int(rows[0]["Steps a round"])
    whole = bound_of(Decimal(1), sample_rate(64, 300), 3 * steps, Decimal("0.00001"))
    assert float(rows[0]["ε, 3 rounds"]) == pytest.approx(whole, abs=0.0101)
    assert float(rows[0]["ε, 3 rounds"]) >= whole
    assert "South University Hospital pays most" in "\n".join(
        str(item.value) for kind in ("success", "warning") for item in at.main.get(kind)
    )


def test_rounds_that_do_not_fit_are_said_before_anybody_signs(draw, stage) -> None:
    """Who stops after which round, and how much noise would be enough: with it all rounds fit."""
    at = on(begun(draw, stage, max_rounds=50))
    asked(at, "number_input", "ε, the cap").set_value(2.0).run()
    (warned,) = [item.value for item in at.main.warning if "is reached in round" in item.value]
    sigma = float(warned.split("fit with sigma ")[1].rstrip("."))

    asked(at, "number_input", "Noise (sigma)").set_value(sigma).run()

    assert not [item for item in at.main.warning if "is reached in round" in item.value]
    assert [item for item in at.main.success if "50 rounds fit everywhere" in item.value]


def test_a_delta_that_lets_a_whole_patient_through_is_said(draw, stage) -> None:
    """The hospital would refuse; the form says it first."""
    at = on(begun(draw, stage))
    asked(at, "number_input", "Training patients of North").set_value(50_000).run()

    assert [item for item in at.main.error if "North Hospital: δ is above" in item.value]


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"recipe": {"id": "cnn2d-small", "changes": {
            "dp": {"sigma": "2.5", "clip": "0.5", "batch": 16}, "local": {"steps": 7}}}},
        {"dp": {"unit": "image", "epsilon": "2.5", "delta": "0.000002", "accountant": "rdp"}},
    ],
)  # fmt: skip
def test_a_kept_draft_with_noise_goes_through_the_form_and_stays_as_it_was(stage, more) -> None:
    """Also an own cap, an odd delta and the other accountant."""
    rows = [{"site": EAST, "id": "cxr", "epsilon": "1.5"}, {"site": NORTH, "id": "cxr"}]
    draft = stage.draft(**{**NOISY, **more, "datasets": rows})

    answers = answers_of(read_draft(write_draft(draft).encode()))
    again = draft_of(answers, stage.rooms.catalogue.recipes())

    assert again["dp"] == draft["dp"]
    assert again["datasets"] == draft["datasets"]
    wanted = {"changes": {}, **draft["recipe"]}
    if "dp" in wanted["changes"]:  # rare classes cannot count more with noise
        wanted["changes"] = {**wanted["changes"], "class_weights": "none"}
    assert again["recipe"] == wanted


@pytest.mark.parametrize(
    ("bucket", "patients"), [("≥1000", 700), ("≥100", 70), ("≥floor", 20), ("<floor", 20)]
)
def test_the_form_reckons_with_the_fewest_patients_of_a_registered_size(bucket, patients) -> None:
    """Never with more than a hospital has told: fewer patients pay more."""
    assert noise.fewest(bucket) == patients


def test_what_was_spent_stands_on_the_studys_page_by_hospital_and_round(draw, stage) -> None:
    """From the checked log: sums, caps, what is left; the fullest account first."""
    kept = stage.study, stage.charter_id, stage.text
    try:
        number = stage.run(2, **NOISY)
        at = draw("study", id=number, tab="Live")
        quiet = draw("study", id=kept[0], tab="Live")
    finally:
        stage.study, stage.charter_id, stage.text = kept

    assert "Privacy spent" in words(at)
    assert "Privacy spent" not in words(quiet)
    rows = cells(at, "ε spent")
    assert rows[0]["Hospital"].startswith("South University Hospital")
    spent = {row["Hospital"].split(",")[0]: row["ε spent"] for row in rows}
    assert spent == {
        "South University Hospital": "2.60", "East Clinic": "0.83", "North Hospital": "0.50",
    }  # fmt: skip
    assert {row["Left"] for row in rows} == {"5.40", "7.17", "7.50"}
    assert len(cells(at, "ε of this answer")) == 6
