"""The fold itself: the question before the act, the replay, its cost, its closed tables."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from compliance.errors import Malformed, Refused
from compliance.records.envelope import parse_event
from compliance.records.kinds import STUDY
from compliance.records.rounds import UpdateSubmitted
from compliance.rules.arrival import said_of
from compliance.rules.authority import MAY_SAY
from compliance.rules.fold import FAMILIES, advance, judge, may, replay
from compliance.rules.phases import MOVING, STEPS, Phase
from compliance.rules.verdict import Allowed, Denied
from compliance.rules.words import FOLD, SENTENCES
from tests import factories as make
from tests.simulator import HUB, Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES
RULES = Path(__file__).resolve().parents[2] / "compliance" / "rules"


@pytest.fixture
def world() -> Federation:
    """Three hospitals that all signed."""
    return Federation()


STOP = {"reason": "safety", "on_behalf": None}


def test_no_code_takes_one_statement_for_another(world: Federation) -> None:
    """A body in another type, or a round that is not open, is an error and no default."""
    event = parse_event(world.draft("study.stopped", STOP, HUB).rpartition(b"\n\n")[0] + b"\n")
    said = said_of(world.state, event, frozenset({HUB}))
    with pytest.raises(TypeError, match="carries StudyStopped"):
        said.as_(UpdateSubmitted)
    with pytest.raises(Refused, match="no open round"):
        _ = world.state.running


def test_the_site_asks_before_it_touches_data(world: Federation) -> None:
    """The question without a signature has the same answer as the statement."""
    world.opened()
    yes = world.training(NORTH)
    assert isinstance(
        may(world.state, "update.submitted", yes, f"{NORTH}/node", world.time), Allowed
    )
    for change, rule in (
        ({"n": 1}, "update.min_examples"),
        ({"n": "1"}, "event.form"),
        ({"dp": make.cost(epsilon="9.0")}, "dp.budget"),
    ):
        no = may(world.state, "update.submitted", yes | change, f"{NORTH}/node", world.time)
        assert refused(no) == rule
    assert (
        refused(may(world.state, "update.sold", yes, f"{NORTH}/node", world.time)) == "event.type"
    )
    consortium = {"charter": make.sha("x"), "reason": "data"}
    assert refused(may(world.state, "study.refused", consortium, HUB, world.time)) == "event.type"
    assert refused(may(world.state, "update.submitted", yes, HUB, world.time)) == "authority"
    assert refused(may(world.state, "update.submitted", yes, "x/y", world.time)) == "authority"
    assert refused(may(world.state, "update.submitted", yes, f"{NORTH}/node", "now")) == "time.form"


def test_the_question_changes_nothing(world: Federation) -> None:
    """Judging leaves the state as it was."""
    world.opened()
    before = world.state.summary()
    note = world.draft("update.submitted", world.training(NORTH), f"{NORTH}/node")
    judge(world.state, note)
    assert world.state.summary() == before
    assert world.state.size == 2


def test_a_replay_names_the_first_bad_entry(world: Federation) -> None:
    """An edited history stops where it was edited."""
    world.play_round().play_round()
    forged = [*world.entries[:3], world.entries[2], *world.entries[3:]]
    with pytest.raises(Refused) as refusal:
        replay(forged)
    assert (refusal.value.rule, refusal.value.found) == ("event.replay", 3)
    with pytest.raises(Malformed, match="begins with its charter"):
        replay([])


def test_entries_are_taken_in_order_only(world: Federation) -> None:
    """The fold takes the next entry, not another one, and nothing that no rule has seen."""
    note = world.draft("study.stopped", {"reason": "safety", "on_behalf": None}, HUB)
    with pytest.raises(Malformed, match="not the next one"):
        advance(world.state, note, 2)
    with pytest.raises(Malformed, match="not judged"):
        advance(world.state, world.entries[0], 1)
    with pytest.raises(Refused):
        advance(None, b"nothing", 0)
    with pytest.raises(Refused):
        advance(None, note, 0)


def work(world: Federation) -> int:
    """How many calls one judgement of the next opening takes."""
    note = world.draft("round.opened", world.opening(), HUB)
    calls = 0

    def count(*_: Any) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    verdict = judge(world.state, note)
    sys.setprofile(None)
    assert isinstance(verdict, Allowed)
    return calls


def test_judging_does_not_grow_with_the_log() -> None:
    """The thousandth entry takes the work of the tenth, but for a number with more digits."""
    rows = [make.dataset_row(site, epsilon=None) for site in make.NAMES[:3]]
    world = Federation(max_rounds=1000, dp=None, datasets=rows).play_round().play_round()
    early = work(world)
    for _ in range(200):
        world.play_round()
    assert len(world.entries) > 1000
    assert abs(work(world) - early) < early / 100


def test_every_kind_has_an_author_a_rule_and_a_place() -> None:
    """What is not in the tables is denied."""
    assert set(FAMILIES) == set(MAY_SAY) == set(STUDY)
    assert set(STUDY) >= MOVING
    assert {phase for phase, _ in STEPS} == set(Phase)
    assert all(set(roles) <= set("NIHR") for roles in MAY_SAY.values())


def test_every_refusal_has_a_sentence_and_every_sentence_a_refusal() -> None:
    """Rule ids in the sources and in the words are the same set."""
    beside = said_in(RULES / "counts.py")
    fold = (path for path in RULES.glob("*.py") if path.name != "counts.py")
    said = {rule for path in fold for rule in said_in(path)}
    elsewhere = {"event.form", "event.type", "time.form", "charter.form"}
    from_table = {"study.closed", "study.stopped", "round.sequence"}
    of_masks = {"mask.own", "recipe.scaffold"}  # what a hospital and a form say, not the fold
    assert of_masks <= said_in(RULES / "masking.py")
    assert (said - of_masks) | elsewhere | from_table == set(FOLD)
    assert all(text.endswith(".") for text in SENTENCES.values())
    assert beside | of_masks <= set(SENTENCES)


def said_in(path: Path) -> set[str]:
    """Rule ids that a source refuses with."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    calls = (node for node in nodes if isinstance(node, ast.Call))
    first = [call.args[0] for call in calls if getattr(call.func, "id", "") == "Denied"]
    return {str(word.value) for word in first if isinstance(word, ast.Constant)}


def test_a_refusal_carries_rule_found_agreed_and_words() -> None:
    """Whoever is refused reads what was found and what was agreed."""
    error = Denied("update.min_examples", 3, 20).refusal()
    assert (error.rule, error.found, error.agreed, error.exit_code) == (
        "update.min_examples", 3, 20, 1,
    )  # fmt: skip
    assert str(error).startswith("Fewer cases than agreed")


def test_the_rules_read_no_clock_and_no_file() -> None:
    """Pure functions: nothing that could answer differently at another party."""
    forbidden = {"time", "os", "pathlib", "random", "secrets", "socket", "sqlite3", "requests"}
    for path in RULES.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not forbidden & {name.split(".")[0] for name in names}, path.name


def test_the_model_before_the_newest_one_is_known(world: Federation) -> None:
    """From the start model by way of each closed round: what a lost model is made again from."""
    start = world.state.charter.initial_model_sha256
    assert world.state.last_base == start
    world.play_round()
    first = world.state.model_sha256
    assert world.state.last_base == start
    world.play_round()
    assert world.state.last_base == first != world.state.model_sha256
