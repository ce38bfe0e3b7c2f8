"""How far each hospital has cosigned is verified here; a hub can hide a line and invent none."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from compliance.ledger.cosign import cosign
from compliance.signing.keys import COSIGNATURE, SigningKey
from compliance.signing.note import parse
from dashboard import witnesses
from tests import factories as make
from tests.consortium import EAST, HUB, NORTH, SOUTH, Consortium, cosigned
from tests.simulator import Federation

AT = 1_795_000_000


@pytest.fixture
def world() -> Consortium:
    """Three founders, and three entries."""
    return Consortium().must("recipe.registered", HUB).must("dataset.registered", f"{NORTH}/node")


def line_of(
    world: Consortium, site: str, size: int, *, key: SigningKey | None = None
) -> dict[str, Any]:
    """What the hub tells of a hospital that cosigned the first entries."""
    text = parse(cosigned(world.entries[:size])).text
    held = key or make.key(f"{site}/witness", COSIGNATURE)
    return {"name": f"{site}/witness", "size": size, "line": cosign(text, held, AT).strip()}


def told(world: Consortium, *rows: dict[str, Any]) -> dict[str, witnesses.Witness]:
    """What is made of it, by hospital."""
    return {row.site: row for row in witnesses.reached(world.state, rows)}


def test_each_witness_stands_where_its_own_signature_says(world: Consortium) -> None:
    """Even, behind by so many entries, and one that never cosigned."""
    found = told(world, line_of(world, EAST, 3), line_of(world, NORTH, 1))

    assert found[EAST] == witnesses.Witness(EAST, "even", 3, AT, 0)
    assert found[NORTH] == witnesses.Witness(NORTH, "behind", 1, AT, 2)
    assert found[SOUTH] == witnesses.Witness(SOUTH, "never", behind=3)


def test_a_line_over_another_history_does_not_hold(world: Consortium) -> None:
    """The hub shows one history to the hospital and another one here."""
    other = Consortium().must("dataset.registered", f"{NORTH}/node").must("recipe.registered", HUB)

    assert told(world, line_of(other, EAST, 3))[EAST].reach == "false"


@pytest.mark.parametrize(
    "change",
    [
        {"size": 2},
        {"size": 0},
        {"line": "— east.example/witness AAAA"},
        {"line": "no line at all"},
    ],
)
def test_a_line_that_was_changed_does_not_hold(world: Consortium, change: dict[str, Any]) -> None:
    """No other size, no other bytes."""
    assert told(world, line_of(world, EAST, 3) | change)[EAST].reach == "false"


def test_one_hospital_does_not_cosign_for_another(world: Consortium) -> None:
    """Nor the hub for any."""
    foreign = line_of(world, NORTH, 3) | {"name": f"{EAST}/witness"}
    invented = line_of(world, EAST, 3, key=make.key(f"{EAST}/witness", COSIGNATURE, 9))

    assert told(world, foreign)[EAST].reach == "false"
    assert told(world, invented)[EAST].reach == "false"


def test_a_replaced_witness_key_counts_from_its_entry_on(world: Consortium) -> None:
    """The old line of before still holds; the new key does not reach back."""
    name = f"{EAST}/witness"
    world.rotate(name, f"{EAST}/institution", kind=COSIGNATURE)
    fresh = world.keys[name]

    assert told(world, line_of(world, EAST, 3))[EAST].reach == "behind"
    assert told(world, line_of(world, EAST, 4, key=fresh))[EAST].reach == "even"
    assert told(world, line_of(world, EAST, 4))[EAST].reach == "false"
    assert told(world, line_of(world, EAST, 3, key=fresh))[EAST].reach == "false"


def test_what_lies_beyond_the_entries_shown_is_not_judged(world: Consortium) -> None:
    """It is no lie that this dashboard was shown less."""
    assert told(world, line_of(world, EAST, 3) | {"size": 9})[EAST].reach == "beyond"


def test_the_witnesses_of_a_study_are_those_of_its_charter() -> None:
    """The same question for the other family of logs."""
    study = Federation()

    assert witnesses.witnesses_of(study.state) == list(study.state.charter.quorum.witnesses)
    assert {row.reach for row in witnesses.reached(study.state, [])} == {"never"}


def health(world: Consortium, size: object, root: object) -> dict[str, Any]:
    """A hospital as the hub tells of it."""
    states = {"logs": {"consortium": size}, "roots": {"consortium": root}}
    return {"name": EAST, "health": states}


def test_a_copy_with_another_root_is_another_history(world: Consortium) -> None:
    """Only of sizes that are known here; what has another form says nothing."""
    right = b64encode(world.state.root(2)).decode()

    def others(size: object, root: object) -> dict[str, int]:
        return witnesses.other_copies(world.state, "consortium", [health(world, size, root)])

    assert others(2, right) == {}
    assert others(3, right) == {EAST: 3}
    assert others(2, b64encode(bytes(32)).decode()) == {EAST: 2}
    assert others(9, right) == others("2", right) == others(2, None) == others(0, right) == {}


def test_an_alarm_is_told_in_the_words_of_its_rule() -> None:
    """Also one whose rule this release does not know."""
    rows = [
        {"log": "consortium", "rule": "checkpoint.proof", "at": make.BEGINS, "heard": make.BEGINS},
        {"log": "ab" * 8, "rule": "rule.of.tomorrow", "at": None, "heard": make.BEGINS},
    ]
    sites = [{"name": EAST, "health": {"alarmed": rows}}, {"name": NORTH, "health": {}}]

    found = witnesses.alarms(sites)

    assert [row.site for row in found] == [EAST, EAST]
    assert found[0].sentence == "The log did not only grow: the proof does not hold."
    assert (found[1].sentence, found[1].at) == ("Rule rule.of.tomorrow.", "")
