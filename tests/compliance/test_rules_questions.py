"""Would this be allowed? A question in a few words has the answer of the whole statement."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.errors import NotReady
from compliance.rules.authority import MAY_SAY
from compliance.rules.check import check_charter
from compliance.rules.fold import may
from compliance.rules.questions import USUAL, Question, Reply, ask, lines_of, read_given
from compliance.rules.verdict import ALLOWED, Denied
from tests import factories as make
from tests.simulator import HUB, Federation

EAST, NORTH, SOUTH, WEST = make.NAMES
NOW = "2026-11-22T09:00:00Z"


@pytest.fixture
def world() -> Federation:
    """Three hospitals that all signed."""
    return Federation()


def asked(world: Federation, kind: str, site: str = "", actor: str = "", **given: Any) -> Reply:
    """A question about this study now."""
    return ask("0011223344556677", world.state, Question(kind, given, actor, site), world.time)


def rule_of(reply: Reply) -> str | None:
    """The rule that is against it, or None."""
    return reply.verdict.rule if isinstance(reply.verdict, Denied) else None


ACTS: list[tuple[str, str, dict[str, Any], str | None]] = [
    ("round.opened", "", {}, None),
    ("round.opened", "", {"sites": [NORTH]}, "round.min_sites"),
    ("round.opened", "", {"sites": [NORTH, WEST]}, "round.sites"),
    ("update.submitted", NORTH, {}, "round.sequence"),
    ("site.joined", NORTH, {}, None),
    ("site.withdrawn", NORTH, {}, None),
    ("dataset.withdrawn", NORTH, {}, None),
    ("dataset.withdrawn", NORTH, {"dataset": "none"}, "dataset.unknown"),
    ("study.stopped", "", {}, None),
    ("study.stopped", NORTH, {"reason": "boredom"}, "event.form"),
    ("study.resumed", NORTH, {}, "resume.signatures"),
    ("study.closed", "", {}, None),
    ("release.approved", NORTH, {}, "release.model"),
    ("release.refused", NORTH, {}, "release.model"),
    ("model.released", "", {}, "release.model"),
    ("model.recalled", "", {}, "release.model"),
    ("round.aborted", "", {}, "round.sequence"),
    ("round.sold", "", {}, "event.type"),
]


@pytest.mark.parametrize(("kind", "site", "given", "rule"), ACTS)
def test_a_question_in_a_few_words_names_the_rule_that_is_against_it(
    world: Federation, kind: str, site: str, given: dict[str, Any], rule: str | None
) -> None:
    """And the verdict is that of the fold over the whole statement which the reply shows."""
    reply = asked(world, kind, site, **given)

    assert rule_of(reply) == rule
    assert reply.size == world.state.size
    assert given.items() <= reply.body.items()
    assert reply.verdict == may(world.state, kind, reply.body, reply.actor, world.time)


def test_the_speaker_is_the_first_who_may_say_it(world: Federation) -> None:
    """Hub, researcher, node or institution; who else would sign is said."""
    assert asked(world, "round.opened").actor == HUB
    assert asked(world, "charter.amended").actor == make.RESEARCHER
    assert asked(world, "update.submitted", NORTH).actor == f"{NORTH}/node"
    assert asked(world, "release.approved", NORTH).actor == f"{NORTH}/institution"
    assert rule_of(asked(world, "release.approved", actor=f"{NORTH}/node")) == "authority"
    with pytest.raises(NotReady, match="none is named"):
        asked(world, "update.submitted")


def test_a_cohort_below_the_floor_is_refused_before_anything_was_trained(
    world: Federation,
) -> None:
    """In an open round the agreed floor and the budget answer, with what was found and agreed."""
    world.opened()

    assert rule_of(asked(world, "update.submitted", NORTH)) is None
    few = asked(world, "update.submitted", NORTH, n=1).plain()
    other = asked(world, "update.submitted", NORTH, dataset="none")

    assert (few["allowed"], few["rule"], few["found"]) == (False, "update.min_examples", "1")
    assert few["agreed"] == str(world.state.charter.min_examples)
    assert rule_of(other) == "dataset.unknown"
    assert rule_of(asked(world, "round.aborted")) is None


def test_a_question_changes_nothing(world: Federation) -> None:
    """However much is asked, the state stays as it was."""
    before = world.state.summary(), world.state.size, len(world.state.nonces)

    for kind in USUAL:
        asked(world, kind, NORTH)

    assert (world.state.summary(), world.state.size, len(world.state.nonces)) == before
    assert set(USUAL) <= set(MAY_SAY)


def test_a_measured_value_is_asked_with_the_own_data(world: Federation) -> None:
    """What a hospital would show below the floor is refused; the rest is filled in."""
    value = {"value": "0.9", "low": None, "high": None, "n": 1, "positives": None}
    name = world.state.charter.evaluation.primary

    reply = asked(world, "metric.reported", NORTH, values={name: value})

    assert rule_of(reply) == "metric.floor"
    assert reply.body["split"] == "test"


def test_a_reply_is_said_in_lines_and_a_wrong_body_in_words() -> None:
    """✓ or ✕, who and what, the rule, what was found and agreed."""
    yes = Reply(ALLOWED, "study.closed", {}, HUB, 4).plain()
    no = Reply(Denied("round.max", 7, 6), "round.opened", {}, HUB, 4).plain()
    bare = Reply(Denied("study.stopped"), "round.opened", {}, HUB, 4).plain()

    assert lines_of(yes) == [f"✓ It would be allowed: study.closed by {HUB}, after 4 entries."]
    assert lines_of(no)[0].startswith("✕ It would be refused: round.opened")
    assert lines_of(no)[2:] == ["Found: 7.", "Agreed: 6."]
    assert len(lines_of(bare)) == 2
    assert read_given('{"n": 12}') == {"n": 12}
    for text in ("[1]", "n=12"):
        with pytest.raises(NotReady, match="no JSON object"):
            read_given(text)


def test_each_finding_names_the_hospital_that_it_concerns_and_what_to_change() -> None:
    """A purpose against one data set, a missing field of one row, and what concerns everybody."""
    terms = make.charter()
    terms["datasets"][1]["duo"] = ["DS"]
    terms["quorum"]["k"] = 9
    found = {row.rule: row for row in check_charter(terms, NOW) if not row.allowed}
    site = terms["datasets"][1]["site"]

    assert found["charter.duo"].site == site
    assert found["charter.quorum"].site is None
    assert "cosigners" in str(found["charter.quorum"].plain()["fix"])

    holed = make.charter()
    holed["legal"]["sites"][0]["controller"] = ""
    holed["title"] = ""
    by_path = {row.found: row for row in check_charter(holed, NOW)}
    assert by_path["legal.sites.0.controller"].site == holed["legal"]["sites"][0]["site"]
    assert by_path["title"].site is None
    fine = [row for row in check_charter(make.charter(), NOW) if row.allowed]
    assert fine
    assert {row.fix for row in fine} == {None}


def test_a_question_to_the_consortium_is_taken_as_it_was_put() -> None:
    """Nothing is filled in there: whoever asks names the actor and the whole body."""
    from tests.consortium import Consortium

    house = Consortium()
    given = {"site": EAST, "reason": "security"}

    reply = ask("consortium", house.state, Question("member.suspended", given, HUB), NOW)

    assert rule_of(reply) == "authority"
    assert (reply.body, reply.actor) == (given, HUB)
