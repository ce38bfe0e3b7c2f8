"""What the consortium says to a charter before anybody signs it."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.ledger.merkle import leaf_hash
from compliance.records.charter import CharterBody
from compliance.rules.consortium.charters import (
    against,
    check_arrangement,
    check_floors,
    check_listed,
    check_members,
    check_recipe,
    check_suspended,
    leaf_id,
)
from compliance.rules.words import SENTENCES
from tests import factories as make
from tests.consortium import HUB, Consortium, institutions

EAST, NORTH, SOUTH, WEST = make.NAMES


@pytest.fixture
def world() -> Consortium:
    """Three members, a researcher and a recipe."""
    world = Consortium()
    return world.must("researcher.admitted", HUB).must("recipe.registered", HUB)


def charter(world: Consortium, sites: tuple[str, ...] = make.NAMES[:3], /, **changes: Any) -> Any:
    """A charter of this consortium, with changes."""
    said = {"consortium": world.state.agreement_id} | changes
    return CharterBody.model_validate(make.charter(sites, **said))


def rules(found: list[Any]) -> list[str]:
    """The rules that refuse; each has words."""
    assert all(SENTENCES[denied.rule] for denied in found)
    return [denied.rule for denied in found]


def test_an_honest_charter_has_nothing_against_it(world: Consortium) -> None:
    """Members, keys, recipe, floors and arrangement are as agreed."""
    assert against(world.state, charter(world)) == []


def test_a_key_that_is_not_the_members_is_named(world: Consortium) -> None:
    """Also the key that it held before: only the one in force counts."""
    honest = charter(world)
    world.rotate(f"{EAST}/node", f"{EAST}/institution")
    assert rules(list(check_members(world.state, honest))) == ["charter.members"]
    row = make.site_keys(EAST) | {"node": make.vkey(f"{EAST}/node", generation=1)}
    sites = [row, make.site_keys(NORTH), make.site_keys(SOUTH)]
    assert against(world.state, charter(world, sites=sites)) == []
    swapped = [row | {"witness": make.vkey(f"{EAST}/witness", 4, 5)}, *sites[1:]]
    found = list(check_members(world.state, charter(world, sites=swapped)))
    assert [denied.found for denied in found] == [f"another key for {EAST}/witness"]


def test_strangers_are_no_part_of_a_charter(world: Consortium) -> None:
    """A hospital that never came or has left, another hub, researcher or consortium."""
    everybody = charter(world, make.NAMES)
    assert [row.found for row in check_members(world.state, everybody)] == [WEST]
    world.must("member.left", f"{SOUTH}/node", site=SOUTH)
    assert [row.found for row in check_members(world.state, charter(world))] == [SOUTH]
    for changes in (
        {"hub_key": make.vkey(HUB, generation=1)},
        {"researcher": make.vkey("lead.example/r-8")},
        {"researcher": make.vkey(make.RESEARCHER, generation=1)},
        {"researcher": make.vkey(f"{EAST}/node")},
        {"consortium": make.sha("another agreement")},
    ):
        odd = charter(world, (EAST, NORTH), **changes)
        assert rules(list(check_members(world.state, odd))) == ["charter.members"], changes
    world.must("researcher.left", HUB)
    gone = against(world.state, charter(world, (EAST, NORTH)))
    assert rules(gone) == ["charter.members"]


def test_a_recipe_is_the_registered_one_or_none(world: Consortium) -> None:
    """By name, version and hashes; a retired one is named as such."""
    named = {"id": "cxr", "version": 1, "sha256": make.sha("recipe"), "family": "cnn2d_small"}
    for change in ({"version": 2}, {"sha256": make.sha("x")}, {"family": "unet"}):
        odd = charter(world, recipe=named | change)
        assert rules(list(check_recipe(world.state, odd))) == ["charter.recipe"], change
    other = charter(world, bundle_sha256=make.sha("another program"))
    assert rules(list(check_recipe(world.state, other))) == ["charter.recipe"]
    world.must("recipe.retired", HUB)
    assert rules(list(check_recipe(world.state, charter(world)))) == ["charter.recipe"]


def test_no_charter_undercuts_the_floors(world: Consortium) -> None:
    """Each number below the agreement is named; the floor itself is enough."""
    low = charter(world, min_examples=9, min_cell=4, min_sites=1)
    found = list(check_floors(world.state, low))
    assert rules(found) == ["charter.floors"] * 3
    assert [denied.found for denied in found] == [
        "min_examples = 9", "min_cell = 4", "min_sites = 1",
    ]  # fmt: skip
    assert list(check_floors(world.state, charter(world, min_examples=10, min_cell=5))) == []
    world.amend(EAST, NORTH, floors={"min_examples": 30, "min_cell": 5, "min_sites": 2})
    assert rules(against(world.state, charter(world))) == ["charter.floors"]


def test_joint_controllers_have_an_arrangement() -> None:
    """With the agreement or with the charter; a study without joint controllers needs none."""
    world = Consortium(documents=[])
    paper = {"ref": "JCA 1", "sha256": make.sha("arrangement")}
    assert rules(list(check_arrangement(world.state, charter(world)))) == ["charter.legal"]
    attached = charter(world, documents=[{"kind": "other", **paper}])
    assert list(check_arrangement(world.state, attached)) == []
    wrong = charter(world, documents=[{"kind": "protocol", **paper}])
    assert rules(list(check_arrangement(world.state, wrong))) == ["charter.legal"]
    alone = make.charter()["legal"] | {"joint_controllers": False}
    assert list(check_arrangement(world.state, charter(world, legal=alone))) == []
    contract = Consortium(documents=[{"kind": "contract", **paper}])
    assert rules(list(check_arrangement(contract.state, charter(contract)))) == ["charter.legal"]


def test_a_suspended_hospital_is_in_no_round(world: Consortium) -> None:
    """Named while it is suspended, and not after it was admitted again."""
    world.suspend(SOUTH, EAST, NORTH)
    assert [row.found for row in check_suspended(world.state, make.NAMES)] == [SOUTH]
    assert rules(against(world.state, charter(world))) == ["site.suspended"]
    world.must(
        "member.admitted", f"{EAST}/institution",
        signers=institutions(EAST, NORTH, SOUTH), body=make.admission(SOUTH),
    )  # fmt: skip
    assert list(check_suspended(world.state, make.NAMES)) == []


def test_a_hidden_study_is_joined_by_nobody(world: Consortium) -> None:
    """Only a study that is listed, with exactly this first entry."""
    entry = make.entry0(make.charter())
    charter_id = make.sha("charter")
    assert rules(list(check_listed(world.state, charter_id, leaf_hash(entry)))) == [
        "study.unlisted"
    ]
    world.must("study.opened", HUB, entry0=leaf_id(entry))
    assert list(check_listed(world.state, charter_id, leaf_hash(entry))) == []
    assert list(check_listed(world.state, charter_id, leaf_id(entry))) == []
    fork = make.entry0(make.charter(), f"{EAST}/institution", make.RESEARCHER)
    assert rules(list(check_listed(world.state, charter_id, leaf_id(fork)))) == ["study.unlisted"]
