"""`consilium study ask`: typed words become a question to every hospital, over TLS."""

from __future__ import annotations

import pytest

from tests.asked import CELLS, NORTH, SOUTH, fill, say_yes
from tests.dashboard.test_study_cli import Person, celine, desk, hub, newcomer

__all__ = ["celine", "desk", "hub", "newcomer"]


def hospitals_look(person: Person) -> None:
    """North answers, south has decided nothing; both see the newest log first."""
    person.house.time.forward(seconds=6)
    north = person.house.sites[NORTH]
    say_yes(north)
    fill(north, dict.fromkeys(CELLS, 12))
    for rooms in person.house.sites.values():
        rooms.look_at_consortium()
        rooms.answering.look()


def test_a_question_is_asked_and_its_answers_are_listed(celine: Person) -> None:
    """Asked in closed words; the list says what each hospital told, and that south says no."""
    asked = celine.ask("ask", "--body-part", "chest", "--sex", "female")
    hospitals_look(celine)

    assert (asked["phrase"], asked["signed"]) == ("body part chest, sex female", "hub-attested")
    assert celine.run("ask", "--list") == 0
    assert "body part chest, sex female" in celine.said
    assert "40 patients as told by 1 hospital" in celine.said
    assert "answers no such question" in celine.said
    newest = celine.ask("ask", "--list")[0]
    states = {row["site"]: row["state"] for row in newest["hospitals"]}
    assert states == {NORTH: "told", SOUTH: "declined"}


def test_whoever_has_an_own_key_asks_with_it(newcomer: Person) -> None:
    """The question is self-signed, and the hospitals answer it."""
    secret = ("--passphrase-file", str(newcomer.secret))
    newcomer.ask("key", *secret)

    asked = newcomer.ask("ask", "--age", "60-69", *secret)
    hospitals_look(newcomer)

    assert asked["signed"] == "self-signed"
    assert asked["asker"] == newcomer.ask("key", *secret)["vkey"].split("+", 1)[0]
    told = newcomer.ask("ask", "--list")[0]
    assert told["question"] == asked["question"]
    assert told["told"] == 40


@pytest.mark.parametrize(
    ("option", "word", "code"),
    [("--age", "67", 2), ("--body-part", "my knee", 2), ("--body-part", "knee", 1)],
)
def test_a_word_that_cannot_be_asked_is_named(
    celine: Person, option: str, word: str, code: int
) -> None:
    """Of no list: not ready; of no dataset: refused with the words that there are."""
    before = len(celine.ask("ask", "--list"))

    assert celine.run("ask", option, word) == code

    assert option in celine.complained or "chest" in celine.complained
    assert len(celine.ask("ask", "--list")) == before


def test_the_words_that_can_be_asked_are_listed(celine: Person) -> None:
    """What the datasets on offer have, and the closed lists of age and sex."""
    words = celine.ask("ask", "--words")

    assert (words["modality"], words["body_part"]) == (["cr"], ["chest"])
    assert "80+" in words["age"]
    assert celine.run("ask", "--words") == 0
    assert "--body-part" in celine.said
