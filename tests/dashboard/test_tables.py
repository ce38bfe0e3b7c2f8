"""What the hub answered, told to people: outcomes follow from the rounds, never from a process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from compliance.records.reasons import Excluded
from compliance.rules.state import StudyState
from dashboard import tables
from dashboard.tabs import offences

SITES = [
    {"name": name, "title": name.title(), "signed": True} for name in ("north", "south", "east")
]


def closed(number: int, *used: str, **missing: str) -> dict[str, Any]:
    """A closed round."""
    return {"round": number, "used": list(used), "excluded": {}, "missing": missing, "model": "m"}


def live(*rounds: dict[str, Any], phase: str = "closed") -> dict[str, Any]:
    """A study with these closed rounds."""
    return {
        "rounds": list(rounds), "phase": phase, "round": len(rounds), "max_rounds": 4,
        "asked": [], "submitted": [], "waiting": [], "deadline": None,
    }  # fmt: skip


def test_a_study_is_green_only_when_everybody_took_part_in_every_round() -> None:
    """All signed hospitals, all rounds."""
    whole = closed(1, "north", "south", "east")

    colour, said = tables.outcome(live(whole, whole), SITES)

    assert (colour, said) == ("green", "Trained on 3 of 3 hospitals in all 2 rounds.")


def test_a_hospital_that_was_late_in_one_of_many_rounds_makes_it_amber() -> None:
    """Said with the fewest hospitals and the round."""
    whole = [closed(number, "north", "south", "east") for number in (1, 3, 4, 5)]
    late = closed(2, "north", "south", east="late")

    colour, said = tables.outcome(live(whole[0], late, *whole[1:]), SITES)

    assert colour == "orange"
    assert said == "At least 2 of 3 hospitals took part; not all in round 2."


def test_a_last_round_without_everybody_makes_it_red() -> None:
    """The final model did not learn from everybody."""
    whole = [closed(number, "north", "south", "east") for number in (1, 2, 3)]

    colour, _ = tables.outcome(live(*whole, closed(4, "north", "south", east="late")), SITES)

    assert colour == "red"
    assert tables.outcome(live(), SITES) == ("red", "No round gave a model.")


def test_the_sentence_says_where_a_study_stands() -> None:
    """Closed with its reason, stopped, between rounds."""
    whole = closed(1, "north", "south", "east")

    assert tables.sentence(live(whole), "completed") == (
        "The study is closed after 1 round: all agreed rounds are done."
    )
    assert tables.sentence(live(whole, phase="stopped"), None) == (
        "The study is stopped after 1 round."
    )
    assert "1 of 4 rounds are closed." in tables.sentence(live(whole, phase="ready"), None)


def test_hospitals_show_key_names_and_never_whole_keys() -> None:
    """Short names are enough to compare by voice."""
    from datetime import UTC, datetime

    vkey = "north/node+0a1b2c3d+AQIDBAUGBwgJCgsM"
    site = {
        "name": "north", "title": "North", "health": {"state": "up"}, "versions": {},
        "last_seen": "2026-11-22T09:00:00Z", "member_since": "2026-11-20T09:00:00Z",
        "keys": {"node": vkey},
    }  # fmt: skip

    card = tables.hospitals([site], [], datetime(2026, 11, 22, 11, 0, tzinfo=UTC))[0]
    site["health"] = {"state": "up", "warning": "certificate_soon"}
    warned = tables.hospitals([site], [], datetime(2026, 11, 22, 11, 0, tzinfo=UTC))[0]

    assert (card["state"], warned["state"]) == ("up", "certificate_soon")
    assert card["keys"] == {"node": "0a1b2c3d"}
    assert card["seen"] == "2 h ago"


def test_how_far_a_hospital_is_and_who_rests_are_said_in_words() -> None:
    """Bytes on the way, share of the training; who is not asked and why; who is unlike others."""
    row = {"health": {"order": {"kind": "train", "share": 0.4}}, "carried": {"down": 12_300_000}}
    assert tables.progress_of(row, 28_200_000) == "12.3 of 28.2 MB down, training, 40% done"
    assert tables.progress_of({"health": {}, "carried": {"up": 1_000_000}}) == "1.0 MB up"
    assert tables.progress_of({"health": {"order": {"kind": "evaluate"}}}) == "measuring, 0% done"

    live = {
        "resting": [{"title": "South", "until": 6, "reasons": ["bad_hash", "bad_hash"]}],
        "scores": {"sites": {"north.example": 0.2, "south.example": 0.9}},
    }
    assert tables.rests(live) == [
        "South rests until round 6 is over: its update did not match what the hospital had signed."
    ]
    sites = [{"name": "south.example", "title": "South"}]
    assert [row["Hospital"] for row in tables.unlike(live, sites)] == ["South", "north.example"]


def test_updates_that_did_not_count_are_told_without_a_word_of_blame() -> None:
    """How many in a row of how many, why, and the rest with its rounds; nobody is called a liar."""
    state = SimpleNamespace(
        charter=SimpleNamespace(aggregator=SimpleNamespace(params={})),
        rounds_closed=[
            SimpleNamespace(number=n, used={"n": ""}, excluded={"s": Excluded.BAD_HASH})
            for n in (1, 2)
        ],
    )
    (row,) = offences.rows(cast(StudyState, state), {"s": "South"})
    assert (row["Hospital"], row["In a row now"], row["Rest"]) == ("South", "2 of 3", "none so far")
    assert "did not match" in row["Why"]

    third = SimpleNamespace(number=3, used={"n": ""}, excluded={"s": Excluded.NOT_FINITE})
    state.rounds_closed.append(third)
    (row,) = offences.rows(cast(StudyState, state), {"s": "South"})
    assert (row["In a row now"], row["Rest"]) == ("0 of 3", "rounds 4 to 6")
    for word in ("attack", "liar", "malicious", "suspect", "fault", "guilty"):
        assert word not in offences.MEANS.lower()
