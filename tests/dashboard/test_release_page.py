"""The Model tab: who agreed, and that nothing is handed out before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard.consent import consent_of
from dashboard.results import page_of, result_parts
from tests.dashboard.stage import PEOPLE, Stage
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
