"""Questions how many: who may ask, who may answer, and in which form, by the rules alone."""

from __future__ import annotations

import typing
from typing import Any

import pytest
from pydantic import ValidationError

from compliance.records.counts import COUNTS, BodyPart, CountsAsked, Modality
from compliance.records.kinds import ACTIONS, KINDS
from compliance.rules.counts import MAY_SAY, judge_answer, judge_question, question_id, registered
from compliance.rules.said import Said
from compliance.rules.verdict import Denied
from compliance.rules.words import SENTENCES
from compliance.signing.note import parse, seal
from tests import factories as make
from tests.consortium import HUB, Consortium

EAST, NORTH, SOUTH, WEST = make.NAMES
QUESTION = make.sha("question")
TOLD = [{"dataset": make.DATASET, "patients": 40}]
ANSWER = {"question": QUESTION, "floor": 5, "told": TOLD}


@pytest.fixture
def world() -> Consortium:
    """Three hospitals, a researcher, and a dataset of the north."""
    made = Consortium()
    made.must("researcher.admitted", HUB)
    return made.must("dataset.registered", f"{NORTH}/node")


def said(world: Consortium, kind: str, actor: str, body: Any, **how: Any) -> bytes:
    """A signed statement about counts."""
    envelope = {"kinds": COUNTS} | how.pop("envelope", {})
    return world.draft(kind, actor, body=body, envelope=envelope, **how)


def asked(world: Consortium, actor: str = make.RESEARCHER, **how: Any) -> bytes:
    """A question for women."""
    return said(world, "counts.asked", actor, CountsAsked(sex="female").plain(), **how)


def answered(world: Consortium, site: str = NORTH, **changes: Any) -> bytes:
    """An answer of a hospital."""
    return said(world, "counts.answered", f"{site}/node", ANSWER | changes)


def question(world: Consortium, note: bytes, **ahead: int) -> Said | Denied:
    """The verdict over a question now, or later."""
    return judge_question(world.state, note, now=make.later(world.time, **ahead))


def answer(world: Consortium, note: bytes, site: str = NORTH) -> Said | Denied:
    """The verdict over an answer."""
    return judge_answer(world.state, note, question=QUESTION, site=site)


def rule(verdict: Said | Denied) -> str:
    """Which rule refuses; empty when none does."""
    return verdict.rule if isinstance(verdict, Denied) else ""


def test_a_researcher_of_the_consortium_may_ask(world: Consortium) -> None:
    """Closed words, signed with the key on record; its id is the hash of its text."""
    note = asked(world)

    verdict = question(world, note)

    assert isinstance(verdict, Said)
    assert (verdict.actor, verdict.as_(CountsAsked).phrase) == (make.RESEARCHER, "sex female")
    assert question_id(note) == question_id(seal(parse(note).text, world.key(HUB)))


def test_nobody_else_may_ask(world: Consortium) -> None:
    """Not the hub, not a hospital, not a stranger, not two at once, not a key that has left."""
    hub, node = asked(world, HUB), asked(world, f"{NORTH}/node")
    two = asked(world, signers=(make.RESEARCHER, HUB))
    forged = asked(world, keys=(make.key(make.RESEARCHER, generation=1),))
    stranger = asked(world, "lead.example/r-99")
    late = asked(world)

    found = [rule(question(world, note)) for note in (hub, node, two, forged, stranger)]
    world.must("researcher.left", HUB)

    assert found == ["authority", "authority", "event.signer", "note.form", "member.known"]
    assert rule(question(world, late)) == "member.known"


def test_a_question_is_of_this_consortium_of_this_week_and_of_its_own_kind(
    world: Consortium,
) -> None:
    """Another log, last week, from the future, with a hidden detail, or no question at all."""
    elsewhere = asked(world, envelope={"log": make.sha("elsewhere")})
    hidden = asked(world, envelope={"sealed": make.sha("hidden")})
    other = said(world, "counts.asked", make.RESEARCHER, {})
    node = answered(world)

    assert rule(question(world, elsewhere)) == "event.log"
    assert rule(question(world, hidden)) == "event.form"
    assert rule(question(world, other, days=8)) == "counts.old"
    assert rule(question(world, other, minutes=-30)) == "time.clock"
    assert rule(question(world, node)) == "event.type"
    assert rule(question(world, b"junk")) == "note.form"
    assert rule(question(world, world.entries[0])) == "event.log"
    assert isinstance(question(world, other, days=6), Said)


def test_a_hospital_answers_about_its_own_datasets_in_steps_of_its_floor(
    world: Consortium,
) -> None:
    """A number, nothing for too few, no dataset at all, or a no: each is an answer."""
    few = answered(world, told=[TOLD[0] | {"patients": None}])
    none = answered(world, SOUTH, told=[])
    no = said(world, "counts.declined", f"{SOUTH}/node", {"question": QUESTION})

    assert rule(answer(world, answered(world))) == rule(answer(world, few)) == ""
    assert rule(answer(world, none, SOUTH)) == rule(answer(world, no, SOUTH)) == ""


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"question": make.sha("another")}, "counts.question"),
        ({"floor": 4, "told": [TOLD[0] | {"patients": 4}]}, "counts.floor"),
        ({"told": [TOLD[0] | {"patients": 42}]}, "counts.steps"),
        ({"told": [TOLD[0] | {"patients": 0}]}, "counts.steps"),
        ({"floor": 50}, "counts.steps"),
        ({"told": [*TOLD, *TOLD]}, "counts.dataset"),
        ({"told": [TOLD[0] | {"dataset": "private"}]}, "counts.dataset"),
    ],
)
def test_an_answer_of_another_form_is_refused(
    world: Consortium, changes: dict[str, Any], refused: str
) -> None:
    """Below the agreed floor, between the steps, a zero, twice, or of a dataset nobody knows."""
    assert rule(answer(world, answered(world, **changes))) == refused


def test_no_hospital_answers_for_another(world: Consortium) -> None:
    """South hands in north's answer, its own about north's data, or speaks while suspended."""
    assert rule(answer(world, answered(world), SOUTH)) == "event.signer"
    assert rule(answer(world, answered(world, SOUTH), SOUTH)) == "counts.dataset"
    assert rule(answer(world, asked(world))) == "event.type"
    assert rule(answer(world, said(world, "counts.answered", HUB, ANSWER))) == "authority"
    world.suspend(NORTH, EAST, SOUTH)
    assert rule(answer(world, answered(world))) == "site.suspended"


def test_a_withdrawn_dataset_is_answered_no_more(world: Consortium) -> None:
    """What the hospital took back is none of its registered datasets."""
    assert registered(world.state, NORTH) == [make.DATASET]
    body = {"dataset": make.DATASET, "version": None, "reason": "policy"}
    world.must("dataset.withdrawn", f"{NORTH}/node", body=body)

    assert registered(world.state, NORTH) == []
    assert rule(answer(world, answered(world))) == "counts.dataset"


@pytest.mark.parametrize(
    "words",
    [
        {"floor": 1},
        {"min_cell": 1},
        {"note": "please"},
        {"age": "67"},
        {"sex": "F"},
        {"modality": "cr|ct"},
        {"body_part": "left lung of Mr X"},
        {"label": "Müller"},
        {"label": "x" * 65},
        {"label": ["pneumonia"]},
    ],
)
def test_a_question_has_closed_words_only(words: dict[str, Any]) -> None:
    """No floor, no free text, no pattern, no list."""
    with pytest.raises(ValidationError):
        CountsAsked.model_validate(words)


def test_statements_about_counts_stand_in_no_log(world: Consortium) -> None:
    """Neither kind is an entry; every rule by which they are refused has a sentence."""
    assert not set(COUNTS) & (set(KINDS) | ACTIONS)
    assert set(COUNTS) == set(MAY_SAY)
    assert rule_of_log(world) == "event.type"
    assert {name for name in SENTENCES if name.startswith("counts.")} >= {
        *("counts.old", "counts.question", "counts.floor", "counts.steps", "counts.dataset")
    }


def rule_of_log(world: Consortium) -> str:
    """What the consortium's log says to a question."""
    verdict = world.push(asked(world))
    return verdict.rule if isinstance(verdict, Denied) else ""


def test_a_question_reads_as_a_person_would_say_it() -> None:
    """Words in one line; without a word it is about everybody."""
    assert CountsAsked().phrase == "any patient"
    told = CountsAsked(modality="cr", body_part="chest", age="60-69", label="pneumonia").phrase
    assert told == "modality cr, body part chest, age 60-69, label pneumonia"


def test_the_words_of_images_are_the_words_of_questions() -> None:
    """One list for both: what an import writes down can be asked for."""
    from site_node.imaging.facts import BODY_PARTS, MODALITIES, OTHER, TABLE, UNKNOWN

    assert MODALITIES | {OTHER, TABLE, UNKNOWN} == set(typing.get_args(Modality))
    assert BODY_PARTS | {OTHER, UNKNOWN} == set(typing.get_args(BodyPart))
