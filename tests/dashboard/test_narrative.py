"""What a card says in words: the form, its preview, the file, and refusals that name the field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from compliance.canonical import decode, sha256_id
from compliance.errors import NotReady
from compliance.report.narrative import FIELDS, MARKER
from dashboard import evidence_words
from dashboard.desk import read_narrative
from dashboard.narrating import card_now, faults, narrative_from
from tests.dashboard.stage import Stage
from tests.dashboard.test_views import button, draw, wire, words  # noqa: F401 - shared fixtures
from tests.hub.house import rows_of

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "narrative.yaml"
LOOK, RELEASE = "Look at the card", "Release the newest model"
Draw = Callable[..., AppTest]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A study of one closed round to whose model enough hospitals agreed."""
    made = Stage(tmp_path / "hub")
    made.run(1)
    made.agree("east.example", "north.example")
    made.settle()
    yield made
    made.close()


def tab(draw: Draw, stage: Stage, who: str = "celine") -> AppTest:  # noqa: F811
    """The Model tab as a person sees it."""
    return draw("study", who, id=stage.study, tab="Model")


def write(at: AppTest, name: str, text: str) -> None:
    """Write into the field of this text."""
    label = evidence_words.NARRATIVE[name][0]
    next(item for item in at.text_area if item.label == label).set_value(text)


def test_what_was_looked_at_is_what_the_act_holds(draw: Draw, stage: Stage) -> None:  # noqa: F811
    """Nine fields with words that say what belongs there; the unwritten ones say that they are."""
    at = tab(draw, stage)
    assert [item.placeholder for item in at.text_area] == [
        what for _, what in evidence_words.NARRATIVE.values()
    ]
    write(at, "intended_use", "A second look\nat radiographs.")
    button(at, LOOK).click().run()
    assert [item.value for item in at.text] == ["A second look at radiographs."] + [MARKER] * 8

    button(at, RELEASE).click().run()

    assert "nothing has happened yet" in words(at)
    body = json.loads(rows_of(stage.rooms.database, "intent")[-1]["body"])
    assert body["narrative"]["intended_use"] == "A second look at radiographs."
    assert {name for name, text in body["narrative"].items() if text is None} == set(FIELDS[1:])
    assert stage.rooms.ledger.events(stage.study, "model.released") == []


def test_the_card_of_the_page_is_the_card_of_the_release(stage: Stage) -> None:
    """The same bytes, and so the very hash that the log gets."""
    ledger, study = stage.rooms.ledger, stage.study
    told = narrative_from({"risks": "A film is seen later.", "users": "Radiologists."})
    entries = ledger.entries(study, 0, ledger.size(study))

    made = card_now(entries, ledger.state(study).model_sha256, told)

    released = stage.rooms.releases.release(study, None, told)
    assert sha256_id(made) == released["card_sha256"]
    assert decode(made)["narrative"]["risks"] == "A film is seen later."


def test_a_text_that_no_card_can_hold_is_named_by_its_field(
    draw: Draw,  # noqa: F811
    stage: Stage,
) -> None:
    """What was looked at before stays what the act would hold; the limit is the hub's own."""
    at = tab(draw, stage)
    write(at, "funding", "The three hospitals.")
    button(at, LOOK).click().run()
    write(at, "biases", "a bell\x07")

    button(at, LOOK).click().run()

    assert "**Known biases** cannot stand in a card" in words(at)
    assert all(item.proto.max_chars == 4000 for item in at.text_area)
    button(at, RELEASE).click().run()
    body = json.loads(rows_of(stage.rooms.database, "intent")[-1]["body"])
    assert (body["narrative"]["funding"], body["narrative"]["biases"]) == (
        "The three hospitals.",
        None,
    )


@pytest.mark.parametrize("who", ["omar", "aya", "ida"])
def test_only_a_researcher_is_asked_for_the_words(
    draw: Draw,  # noqa: F811
    stage: Stage,
    who: str,
) -> None:
    """Others see who agreed."""
    assert button(tab(draw, stage, who), LOOK) is None


def test_words_are_text_and_no_markup(draw: Draw, stage: Stage) -> None:  # noqa: F811
    """A picture or a tag in a card stays letters."""
    at = tab(draw, stage)
    write(at, "risks", "![x](https://evil.example) <b>none</b>")

    button(at, LOOK).click().run()

    assert "![x](https://evil.example) <b>none</b>" in [item.value for item in at.text]
    assert "evil.example" not in words(at)


def test_every_wrong_field_is_told_at_once() -> None:
    """A control character, a text that is too long, a field that no card has."""
    found = faults({"risks": "a\x00b", "users": "x" * 4001, "praise": "the best", "funding": "us"})

    assert set(found) == {"risks", "users", "praise"}
    assert "4000" in found["users"]


def test_the_example_file_has_every_field_and_is_read(tmp_path: Path) -> None:
    """It can be given to the command as it is; a field too long is named with the file."""
    told = read_narrative(EXAMPLE)

    assert tuple(told) == FIELDS
    assert all(told.values())
    path = tmp_path / "long.yaml"
    path.write_text(f"population: {'x' * 4001}\n")
    with pytest.raises(NotReady, match=r"long\.yaml is no narrative of a card: population"):
        read_narrative(path)
