"""Answers how many in words: what is below a floor is never a number."""

from __future__ import annotations

import base64
from typing import Any

from compliance.records.counts import COUNTS
from dashboard.counting import forged, lines_of, number, summary, text_lines
from dashboard.results import page_of, result_parts
from tests import factories as make
from tests.consortium import Consortium

NAMES = {"north.example": "North Hospital"}


def told(site: str, state: str, *patients: int | None) -> dict[str, Any]:
    """A hospital's answer as the hub lists it."""
    rows = [{"dataset": f"set{n}", "patients": value} for n, value in enumerate(patients)]
    return {"site": site, "state": state, "floor": 5 if rows else None, "datasets": rows}


def row(*hospitals: dict[str, Any], open_: bool = True) -> dict[str, Any]:
    """A question as the hub lists it."""
    numbers = [one["patients"] for hospital in hospitals for one in hospital["datasets"]]
    return {
        "asked": "2026-11-22T09:00:00Z",
        "asker": "hub.example/r-3",
        "phrase": "sex female",
        "open": open_,
        "told": sum(n for n in numbers if n is not None),
        "hospitals": list(hospitals),
    }


def test_too_few_and_none_are_the_same_words() -> None:
    """Whatever was there, the sentence is one and holds no number of patients."""
    assert number(None, 5) == "fewer than 5, or none"
    assert number(1240, 5) == "1,240"


def test_each_hospital_has_a_line_with_what_it_said() -> None:
    """Two datasets are two lines; a hospital without any, silent or unwilling has one."""
    asked = row(
        told("north.example", "told", 40, None),
        told("south.example", "few"),
        told("east.example", "declined"),
        told("west.example", "waiting"),
    )

    said = [(line["Hospital"], line["Patients"]) for line in lines_of(asked, NAMES)]

    assert said == [
        ("North Hospital", "40"),
        ("North Hospital", "fewer than 5, or none"),
        ("south.example", "no registered data set"),
        ("east.example", "answers no such question"),
        ("west.example", "no answer yet"),
    ]


def test_a_closed_question_waits_for_nobody() -> None:
    """After seven days silence is an answer of its own."""
    closed = row(told("west.example", "waiting"), open_=False)

    assert lines_of(closed, NAMES)[0]["Patients"] == "gave no answer in seven days"


def test_the_sum_is_of_what_was_told_and_says_so() -> None:
    """Who told no number is counted beside it, never into it."""
    both = row(told("a.example", "told", 40), told("b.example", "few", None))

    assert summary(both) == (
        "40 patients as told by 1 hospital, rounded down in small groups; a person in two data "
        "sets is told twice. 1 hospital told no number."
    )
    none = row(told("a.example", "few", None), told("b.example", "waiting"))
    assert summary(none) == "None of 2 hospitals told a number."


def test_a_terminal_shows_the_same() -> None:
    """Who asked, the sum, and a line for each hospital."""
    lines = text_lines([row(told("north.example", "told", 40))], NAMES)

    assert lines[0].endswith("hub.example/r-3 · sex female")
    assert lines[2].split() == ["North", "Hospital", "set0", "40"]


def test_after_the_yes_the_page_leads_to_the_answers() -> None:
    """The result names what was asked, and where the answers will stand."""
    parts = result_parts("counts.ask", "sex female", {"question": "sha256:ab"}, "https://x")

    assert page_of("counts.ask", "sex female") == "/counts"
    assert "/counts?id=sha256%3Aab" in "".join(parts)


Q = make.sha("question")
NODE = f"{make.NAMES[1]}/node"


def answer(world: Consortium, kind: str = "counts.answered", by: str = NODE, **body: Any) -> bytes:
    """A signed answer to the question."""
    told = {"question": Q, "floor": 5, "told": [{"dataset": "cxr", "patients": 40}]}
    said = told | body if kind == "counts.answered" else {"question": Q} | body
    key = world.key(by)
    return world.draft(kind, NODE, body=said, keys=(key,), envelope={"kinds": COUNTS})


def shows(note: bytes, **changes: Any) -> dict[str, Any]:
    """What a hub shows of it."""
    row = {"site": make.NAMES[1], "state": "told", "floor": 5}
    row |= {"datasets": [{"dataset": "cxr", "patients": 40}]}
    row |= {"note_base64": base64.b64encode(note).decode()} | changes
    return {"question": Q, "hospitals": [row]}


def test_an_answer_is_believed_only_as_its_node_signed_it() -> None:
    """Another number, floor, question, key or state than signed is named; silence is not."""
    world = Consortium()
    note, no = answer(world), answer(world, "counts.declined")
    few = [{"dataset": "cxr", "patients": None}]

    assert forged(shows(note), world.state) == []
    assert forged(shows(no, state="declined", floor=None, datasets=[]), world.state) == []
    assert forged(shows(note, state="waiting", note_base64=None), world.state) == []
    lies = [
        shows(note, datasets=[{"dataset": "cxr", "patients": 45}]),
        shows(note, datasets=few, state="few"),
        shows(note, floor=1),
        shows(note, state="declined"),
        shows(no),
        shows(answer(world, question=make.sha("another"))),
        shows(answer(world, by=f"{make.NAMES[0]}/node")),
        shows(b"junk"),
        shows(note, note_base64=None),
        shows(note, site=make.NAMES[0]),
    ]
    assert all(len(forged(lie, world.state)) == 1 for lie in lies)


def test_an_answer_from_before_a_new_key_stays_believed() -> None:
    """The node's key was replaced since: what the earlier one signed is still the hospital's."""
    world = Consortium()
    note = answer(world)
    key = make.key(NODE, generation=1)
    world.state.keys.rotate(key.verifier, 5)

    assert forged(shows(note), world.state) == []
