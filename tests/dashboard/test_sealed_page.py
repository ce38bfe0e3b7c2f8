"""Sealed remarks on the study page: who opens one, and that it is checked against the entry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from compliance.errors import Malformed, NotProven
from compliance.records.sealed import seal_payload
from dashboard.unsealing import opened
from tests.dashboard.gated import Wire
from tests.dashboard.stage import Stage
from tests.dashboard.test_views import asked, button, draw, wire, words  # noqa: F401 - shared fixtures
from tests.hub.house import behind_the_hubs_back

CANARY = "The canary of ward seven sang"
OPEN = "Open it here"
Draw = Callable[..., AppTest]


class Reviewed(Stage):
    """A study of one closed round, reviewed by aya with a remark."""

    def __init__(self, home: Path) -> None:
        super().__init__(home)
        self.run(1)
        self.index = self.review(CANARY)

    def review(self, remark: str) -> int:
        """Aya puts a review on record; gives its entry."""
        person = self.rooms.accounts.person(self.tokens["aya"])
        body = {"result": "opened_case", "from": 0, "to": 3, "remark": remark}
        index = self.rooms.acts["review.note"].do(person, self.study, body)["index"]
        self.settle()
        return int(index)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reviewed]:
    """One for all."""
    made = Reviewed(tmp_path_factory.mktemp("stage") / "hub")
    yield made
    made.close()


def tab(draw: Draw, stage: Reviewed, who: str = "aya") -> AppTest:  # noqa: F811
    """The Log tab as a person finds it."""
    st.cache_data.clear()
    return draw("study", who, id=stage.study, tab="Log")


def test_an_auditor_opens_a_remark_and_it_is_checked_here(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
) -> None:
    """Before the click it is nowhere on the page, and after the next one it is gone again."""
    at = tab(draw, stage)
    assert "That somebody reads it is not recorded." in words(at)
    assert CANARY not in str(at.main)

    button(at, OPEN).click().run()

    assert [item.value for item in at.text] == [CANARY]
    assert f"Entry {stage.index} commits to exactly this; checked here." in words(at)
    assert CANARY not in repr(at.session_state)
    at.run()
    assert list(at.text) == []


def test_a_remark_that_was_exchanged_at_the_hub_is_refuted_here(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even a hub that lies about its own check cannot pass another text off."""
    told = stage.rooms.sealed.open(stage.study, stage.index)
    lie = told | {"payload": {"remark": "Nothing to see"}}
    monkeypatch.setattr(stage.rooms.sealed, "open", lambda *_: lie)
    at = tab(draw, stage)

    button(at, OPEN).click().run()

    assert "**Refuted.**" in words(at)
    assert list(at.text) == []


def test_a_remark_that_was_changed_in_the_database_is_not_shown(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
) -> None:
    """The hub itself finds it first; the page says so in words."""
    other = seal_payload({"remark": "Nothing to see"}, b"s" * 16)
    first = seal_payload({"remark": CANARY}, b"s" * 16)
    change = "UPDATE sealed_payload SET payload = :data"
    behind_the_hubs_back(stage.rooms.database, change, data=other.data)
    at = tab(draw, stage)

    button(at, OPEN).click().run()

    behind_the_hubs_back(stage.rooms.database, change, data=first.data)

    assert list(at.text) == []
    assert "checked here" not in words(at)
    assert "are not those" in words(at)


@pytest.mark.parametrize("who", ["celine", "omar"])
def test_who_may_not_read_it_learns_who_may(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
    who: str,
) -> None:
    """Another researcher, and a steward whose hospital did not say it: the hub refuses both."""
    at = tab(draw, stage, who)

    button(at, OPEN).click().run()

    assert "This is not for you. The log holds a hash only." in words(at)
    assert CANARY not in str(at.main)


def test_an_administrator_sees_that_there_is_one_and_no_button(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
) -> None:
    """The hub would refuse as well."""
    at = tab(draw, stage, "ida")

    assert button(at, OPEN) is None
    assert at.table[0].value.iloc[0]["The detail"] == "sealed, kept at the hub"


def test_an_erased_remark_is_said_to_be_erased_and_when(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
) -> None:
    """The entry stays; there is nothing to open."""
    index = stage.review("Another one")
    stage.rooms.sealed.erase(stage.study, index)
    stage.settle()

    at = tab(draw, stage)

    row = at.table[0].value.iloc[1]
    assert row["Entry"] == str(index)
    assert row["The detail"].startswith("erased; nobody can confirm what it said, 22 Nov 2026")
    assert "were reviewed" in row["What"]
    assert asked(at, "selectbox", "Entry to open").options == [str(stage.index)]


def test_a_log_without_sealed_details_says_so(
    draw: Draw,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One sentence and where one would come from."""
    from dashboard import hub_client
    from hub.main import create_app

    other = Stage(tmp_path / "other")
    other.run(1)
    monkeypatch.setattr(hub_client, "TRANSPORT", Wire(create_app(other.rooms)))

    at = draw("study", "aya", token=other.tokens["aya"], id=other.study, tab="Log")

    assert "No entry commits to a sealed detail." in words(at)
    other.close()


def test_a_silent_hub_opens_nothing(
    draw: Draw,  # noqa: F811
    stage: Reviewed,
    wire: Wire,  # noqa: F811
) -> None:
    """The list stays with its age; the button is off."""
    at = tab(draw, stage)
    wire.silent = True

    at.run()

    assert button(at, OPEN).disabled


def test_a_detail_is_opened_only_against_its_own_entry(stage: Reviewed) -> None:
    """Another entry, another salt, an answer without its parts: none of them passes."""
    (note,) = stage.rooms.ledger.entries(stage.study, stage.index, stage.index + 1)
    (other,) = stage.rooms.ledger.entries(stage.study, 0, 1)
    told = stage.rooms.sealed.open(stage.study, stage.index)
    assert opened(stage.study, note, told) == {"remark": CANARY}

    with pytest.raises(NotProven):
        opened(stage.study, other, told)
    with pytest.raises(NotProven):
        opened(stage.study, note, told | {"salt": "00" * 16})
    for broken in ({"salt": told["salt"]}, told | {"salt": "no hex"}):
        with pytest.raises(Malformed):
            opened(stage.study, note, broken)
