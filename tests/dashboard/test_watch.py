"""What a person reads while a study goes on: names and counts, each sentence once."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.watch import Teller, ended, exit_code, measured

SITES = [
    {"name": "north.example", "title": "North Hospital", "signed": True, "refused": False},
    {"name": "south.example", "title": "South Hospital", "signed": False, "refused": False},
]
VALUE = {"value": "0.9", "low": "0.85", "high": "0.95", "n": 624, "positives": 234}


def told(**changes: Any) -> dict[str, Any]:
    """A study in its first round."""
    plain = {
        "study": "0011223344556677",
        "title": "Opacity",
        "state": "launched",
        "phase": "in_round",
        "sites": SITES,
        "required": 2,
        "round": 1,
        "max_rounds": 3,
        "rounds_closed": 0,
        "asked": ["north.example", "south.example"],
        "submitted": ["north.example"],
        "waiting": ["south.example"],
        "deadline": "2026-11-25T09:42:00Z",
        "rounds": [],
        "metrics": [],
        "closed": None,
        "stopped": None,
    }
    return plain | changes


def closed(**changes: Any) -> dict[str, Any]:
    """The same study after its first round, in which one hospital was missing."""
    row = {
        "round": 1,
        "used": ["north.example"],
        "excluded": {},
        "missing": {"south.example": "no_answer"},
        "model": "sha256:01",
    }
    metric = {"site": "north.example", "split": "test", "values": {"auroc": VALUE}}
    metrics = [metric | {"model": "sha256:00"}, metric | {"model": "sha256:01"}]
    quiet = {"asked": [], "submitted": [], "waiting": [], "deadline": None}
    return told(rounds=[row], rounds_closed=1, metrics=metrics, **quiet, **changes)


def test_a_round_is_told_by_the_names_of_the_hospitals() -> None:
    """Who answered, who we wait for, until when; no id where a name belongs."""
    lines = Teller().lines(told())

    assert "Round 1 of 3: 2 hospitals were asked, they have until 09:42 UTC." in lines
    assert "  ✓ North Hospital answered in round 1." in lines
    assert "  … round 1 waits for South Hospital." in lines
    assert not any(".example" in line for line in lines)


def test_each_sentence_is_said_once() -> None:
    """A second look at the same state says nothing."""
    teller = Teller()
    assert teller.lines(told())

    assert teller.lines(told()) == []


def test_a_closed_round_names_who_was_missing_and_what_was_measured() -> None:
    """With interval and the counts behind it."""
    text = "\n".join(Teller().lines(closed()))

    assert "Round 1 closed: 1 hospital made the new model." in text
    assert "South Hospital was missing in round 1: no answer." in text
    for model in ("at the start", "after round 1"):
        words = f"North Hospital           {model:<16} AUROC 0.900 (0.850–0.950)"  # noqa: RUF001 - a range
        assert f"{words}  n 624, 234 positive" in text


def test_a_number_below_the_floor_is_not_a_zero() -> None:
    """What a hospital may not tell is said to be untold."""
    assert measured("auroc", {"value": None, "n": None, "positives": None}) == (
        "AUROC — (too few cases)  n below the floor, below the floor positive"
    )


@pytest.mark.parametrize(
    ("changes", "over", "code"),
    [
        ({}, False, 1),
        ({"closed": "completed"}, True, 0),
        ({"closed": "abandoned"}, True, 1),
        ({"stopped": 7}, True, 1),
        ({"state": "refused"}, True, 1),
    ],
)
def test_only_a_completed_study_ends_with_0(changes: dict[str, Any], over: bool, code: int) -> None:
    """Stopped, refused and abandoned are no good ends."""
    assert ended(told(**changes)) is over
    assert exit_code(told(**changes)) == code
