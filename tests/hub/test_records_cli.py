"""The operator sees what is sealed and how long records are kept, and erases what must go."""

from __future__ import annotations

import io
import json

import pytest

from compliance.command import main
from tests.hub.house import House
from tests.hub.test_cli import sentence, told
from tests.ledger.test_forgetting import CANARY, note_review


@pytest.fixture
def study(house: House) -> str:
    """A study with a sealed remark in entry 1."""
    made = house.launched()
    note_review(house)
    return made


def hub(house: House, *words: str) -> int:
    """Run `consilium hub …` in this home."""
    return main(["hub", *words, "--home", str(house.home)])


def test_the_list_names_entries_and_never_a_payload(house, study, capsys):
    """Which entry, whose, when, whether it is here."""
    assert hub(house, "seal", "show", study) == 0

    out = capsys.readouterr().out
    assert "entry 1  review.noted  hub.example/events" in out
    assert out.strip().endswith("kept")
    assert CANARY not in out


def test_a_detail_is_opened_by_its_entry(house, study, capsys):
    """The operator of the database could read it anyway; here it is checked."""
    assert hub(house, "seal", "show", study, "1") == 0
    assert CANARY in capsys.readouterr().out

    assert hub(house, "seal", "show", study, "0") == 2
    assert "commits to no sealed detail" in sentence(capsys)


def test_a_detail_is_erased_after_a_yes(house, study, capsys, monkeypatch):
    """Without the yes it stays; with it, it is gone and the log says so."""
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert hub(house, "seal", "erase", study, "1") == 1
    capsys.readouterr()
    assert house.rooms.sealed.all(study)[0].state == "kept"

    assert hub(house, "seal", "erase", study, "1", "--yes", "--json") == 0

    assert told(capsys)["state"] == "erased"
    assert hub(house, "seal", "show", study, "1") == 2
    assert "was erased" in sentence(capsys)


def test_retention_says_until_when_each_study_is_kept(house, study, capsys):
    """In words and for machines."""
    assert hub(house, "retention") == 0
    out = capsys.readouterr().out
    assert f"{study}  kept until 20" in out

    assert hub(house, "retention", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["study"], row["state"]) == (study, "kept")


def test_a_hub_without_a_study_says_so(house, capsys):
    """One sentence each."""
    assert hub(house, "retention") == 0
    assert "no study yet" in capsys.readouterr().out
    assert hub(house, "seal", "show", "0011223344556677") == 2
    assert "no log of a study" in sentence(capsys)
