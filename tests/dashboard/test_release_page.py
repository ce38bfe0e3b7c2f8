"""The Model tab: who agreed, and that nothing is handed out before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import examined
from dashboard.consent import consent_of
from dashboard.results import page_of, result_parts
from dashboard.tabs import handing
from tests import factories as make
from tests.dashboard.stage import PEOPLE, TITLES, Stage
from tests.dashboard.test_views import button, draw, wire, words  # noqa: F401 - shared fixtures

RELEASE, DOWNLOAD = "Release the newest model", "Download the released model"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A study of one closed round; two of three hospitals must agree."""
    made = Stage(tmp_path / "hub")
    made.run(1)
    yield made
    made.close()


Draw = Callable[..., AppTest]


def tab(draw: Draw, stage: Stage, who: str = "celine") -> AppTest:  # noqa: F811 - the fixture
    """The Model tab as a person sees it."""
    stage.settle()
    return draw("study", who, id=stage.study, tab="Model")


def test_before_enough_agreed_neither_release_nor_download_is_offered(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """The page names who has not said yes, and where that is done."""
    stage.agree("east.example")

    at = tab(draw, stage)

    assert button(at, RELEASE).disabled
    assert button(at, DOWNLOAD) is None
    text = words(at)
    assert "**1 of 2** hospitals agreed" in text
    assert "consilium site release" in text


def test_a_veto_is_told_with_its_hospital(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """Enough yeses and one no: it stays here."""
    stage.agree("east.example", "south.example")
    stage.object_to_release("north.example")

    at = tab(draw, stage)

    assert "North Hospital refused" in words(at)
    assert button(at, RELEASE).disabled


def test_a_release_is_only_prepared_on_the_page(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """The button prepares; the yes is given elsewhere."""
    stage.agree("east.example", "north.example")
    at = tab(draw, stage)
    button(at, RELEASE).click().run()
    assert "nothing has happened yet" in "\n".join(str(item.value) for item in at.info)
    assert stage.rooms.ledger.events(stage.study, "model.released") == []


def test_after_the_release_the_download_appears(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """The result page tells who agreed; the Model tab offers the file."""
    stage.agree("east.example", "north.example")
    told = stage.rooms.releases.release(stage.study)

    at = tab(draw, stage)

    assert button(at, RELEASE) is None
    assert not button(at, DOWNLOAD).disabled
    shown = "".join(result_parts("model.release", stage.study, told, "https://hub.example"))
    assert "east.example, north.example" in shown
    assert page_of("model.release", stage.study) == f"/study?id={stage.study}"


@pytest.mark.parametrize(
    "who", [name for name, (role, _) in PEOPLE.items() if role != "researcher"]
)
def test_others_see_who_agreed_and_no_button(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
    who: str,
) -> None:
    """Stewards, auditors and admins read the same page; the acts are a researcher's."""
    stage.agree("east.example", "north.example")

    at = tab(draw, stage, who)

    assert "**2 of 2** hospitals agreed" in words(at)
    assert (button(at, RELEASE), button(at, DOWNLOAD)) == (None, None)


def test_before_the_first_closed_round_there_is_no_consent(stage: Stage) -> None:
    """Entry 0 alone names no model."""
    assert consent_of(stage.rooms.ledger.entries(stage.study, 0, 1)) is None


# ------------------------------------------------------------------ what was examined

HASHES = ("label_map_sha256", "preprocessing_sha256")
AUC = {"value": "0.531", "low": "0.46", "high": "0.602"}
TPR = {"value": "0.02", "low": "0.006", "high": "0.055"}


def told(stage: Stage, leak: str = "no_leak_found", **changes: Any) -> dict[str, Any]:
    """What a hospital tells of its checks."""
    task = stage.rooms.ledger.state(stage.study).charter.task.plain()
    tested = [{"name": "pneumonia", "auc": AUC, "tpr": TPR}]
    return {
        "v": 1,
        "leak": leak,
        "classes": tested if leak != "not_tested" else [],
        "layout_sha256": make.sha("layout"),
        "floor_holds": True,
        **{name: task[name] for name in HASHES},
        **changes,
    }


def checks(at: AppTest) -> dict[str, dict[str, str]]:
    """The table of checks by hospital."""
    (found,) = [table.value for table in at.table if "Leak test" in table.value.columns]
    return {row["Hospital"]: row for row in found.to_dict("records")}


def test_each_hospitals_leak_test_stands_there_with_its_interval_or_as_not_tested(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """Told, not tested, told nothing: three different things, each in its own words."""
    stage.agree("east.example", told=told(stage))
    stage.agree("north.example", told=told(stage, "not_tested"))
    stage.agree("south.example")

    rows = checks(tab(draw, stage, "aya"))

    east = rows["East Clinic"]["Leak test"]
    assert "no leak found" in east
    assert "pneumonia: AUC 0.531 (0.460\u20130.602), found at 1 % false 0.020" in east
    assert rows["North Hospital"]["Leak test"].startswith("○ not tested")
    assert rows["South University Hospital"]["Leak test"] == "○ nothing was told of it"
    assert rows["East Clinic"]["Network, label map, preparation"] == "✓ the charter's"


def test_a_leak_that_was_agreed_to_is_said_and_another_label_map_too(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """What a steward signed despite is not hidden behind the yes."""
    stage.agree("east.example", told=told(stage, "leak_test"))
    stage.agree("north.example", told=told(stage, label_map_sha256=make.sha("other")))

    rows = checks(tab(draw, stage, "aya"))

    assert rows["East Clinic"]["Leak test"].startswith("! tells who was trained on")
    assert rows["North Hospital"]["Network, label map, preparation"].startswith("✕ another")


def test_whom_the_seal_does_not_name_sees_that_it_is_sealed(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """A researcher of another study, another hospital's steward: that there is something."""
    stage.agree("east.example", told=told(stage))

    for who in ("celine", "omar"):
        assert checks(tab(draw, stage, who))["East Clinic"]["Leak test"].startswith("○ sealed")


def test_a_part_that_the_hospital_did_not_sign_for_counts_for_nothing(stage: Stage) -> None:
    """A hub that shows a better test, that of another model, or nonsense."""
    stage.agree("east.example", told=told(stage, "leak_test"))
    entries = stage.rooms.ledger.entries(stage.study, 0, stage.rooms.ledger.size(stage.study))
    model = stage.rooms.ledger.state(stage.study).model_sha256
    true = stage.rooms.sealed.open(stage.study, len(entries) - 1)
    better = {**true, "payload": {**true["payload"], "leak": "no_leak_found"}}

    def found(row: dict[str, Any], of: str = model) -> str:
        return examined.said(entries, of, ["east.example"], lambda _: row)[0].leak

    assert found(true) == "leak_test"
    for row in (better, {**true, "salt": "00" * 16}, {**true, "salt": "x"}, {"payload": 1}, {}):
        assert found(row) == "false"
    assert examined.said(entries, make.sha("another"), ["east.example"], lambda _: true) == []


def test_the_log_says_how_the_model_was_made_and_what_was_left_out(stage: Stage) -> None:
    """Rounds, hospitals, updates that were left out by norm or form; with noise, what it cost."""
    state = stage.rooms.ledger.state(stage.study)

    facts = examined.facts(state, state.model_sha256, TITLES)

    assert facts["Made by"].startswith("1 round,")
    assert "East Clinic" in facts["Learned from"]
    assert facts["Left out by norm, form or hash"] == "no update"
    assert "no noise was agreed" in examined.spent_words([], TITLES)
    row = {"site": "east.example", "spent": Decimal("1.2341"), "cap": Decimal(4)}
    assert examined.spent_words([row], TITLES) == "East Clinic 1.24 of 4.00"


def test_papers_and_zip_appear_with_the_release_and_not_before(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """Auditors read the papers and take no weights; before it is witnessed the page says so."""
    stage.agree("east.example", "north.example")
    assert "Papers of the released model" not in words(tab(draw, stage))
    stage.rooms.releases.release(stage.study)

    soon = words(draw("study", "celine", id=stage.study, tab="Model"))
    at, read = tab(draw, stage), tab(draw, stage, "aya")

    assert "Papers of the released model" not in soon or "Not yet:" in soon
    assert button(at, "Download model and papers as one zip") is not None
    assert button(read, "Download model and papers as one zip") is None
    assert [item.label for item in read.get("download_button")] == [
        f"Download {name}" for name in handing.PAPERS
    ]
    assert "Papers of the released model" not in words(tab(draw, stage, "omar"))
