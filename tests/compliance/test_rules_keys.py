"""Keys and texts are replaced only by those who may; nobody is bound unsigned."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from compliance.signing.keys import COSIGNATURE
from tests import factories as make
from tests.simulator import HUB, Federation, refused

EAST, NORTH, SOUTH, WEST = make.NAMES


@pytest.fixture
def world() -> Federation:
    """Three hospitals that all signed."""
    return Federation()


def amended(world: Federation, *signers: str, **changes: Any) -> dict[str, Any]:
    """The body of an amendment."""
    sites = changes.pop("sites", world.sites)
    return {"charter": make.charter(sites, **changes), "previous": world.state.version_id}


def amend(world: Federation, *signers: str, **changes: Any) -> None:
    """An amendment by these hospitals."""
    names = tuple(f"{site}/institution" for site in signers)
    who = (make.RESEARCHER, *names)
    world.must("charter.amended", amended(world, **changes), make.RESEARCHER, signers=who)


def rotate(world: Federation, name: str, *signers: str, kind: int = 1, **changes: Any) -> None:
    """A key is replaced, and used from then on."""
    body = {"name": name, "vkey": make.vkey(name, kind, 1), "reason": "planned"} | changes
    world.must("key.rotated", body, signers[0], signers=signers)
    world.keys[name] = make.key(name, kind, 1)


def test_a_new_node_key_speaks_and_the_old_one_is_silent(world: Federation) -> None:
    """Rotation by the institution, then by the node itself."""
    rotate(world, f"{NORTH}/node", f"{NORTH}/institution", reason="stolen")
    world.play_round()
    rotate(world, f"{EAST}/node", f"{EAST}/node")
    world.play_round()
    assert world.state.size == len(world.entries)


def test_a_witness_key_is_replaced_by_its_institution(world: Federation) -> None:
    """Also when the hospital has left the training, for it may go on witnessing."""
    world.leave(NORTH)
    rotate(world, f"{NORTH}/witness", f"{NORTH}/institution", kind=COSIGNATURE, reason="lost")
    assert world.state.keys.current[f"{NORTH}/witness"] == world.keys[f"{NORTH}/witness"].verifier


def test_each_replaces_its_own_key_when_planned(world: Federation) -> None:
    """Institution, researcher, hub and the hub's log key."""
    rotate(world, f"{NORTH}/institution", f"{NORTH}/institution")
    rotate(world, make.RESEARCHER, make.RESEARCHER)
    rotate(world, HUB, HUB)
    rotate(world, make.ORIGIN, HUB)
    world.play_round().stop(make.RESEARCHER)


def test_any_member_can_carry_on(world: Federation) -> None:
    """Enough other hospitals hand the hub's keys to somebody else; the same log goes on."""
    hands = tuple(f"{site}/institution" for site in world.sites[:2])
    rotate(world, HUB, *hands, reason="takeover")
    rotate(world, make.ORIGIN, *hands, reason="takeover")
    world.play_round()


def test_a_charter_is_amended_under_the_keys_that_took_over(world: Federation) -> None:
    """The text names the successor's keys, both of them, and no other; then its hub speaks."""
    hands = tuple(f"{site}/institution" for site in world.sites)
    for name in (HUB, make.ORIGIN):
        rotate(world, name, *hands[:2], reason="takeover")
    hub, log = (make.vkey(name, 1, 1) for name in (HUB, make.ORIGIN))
    signers = (make.RESEARCHER, *hands)

    def said(**keys: str) -> Any:
        body = amended(world, min_examples=25, **keys)
        return world.say("charter.amended", body, make.RESEARCHER, signers=signers)

    assert refused(said()) == "amend.fixed"
    assert refused(said(hub_key=hub)) == "amend.fixed"
    assert refused(said(log_key=log)) == "charter.keys"
    assert refused(said(log_key=log, hub_key=make.vkey(HUB, 1, 2))) == "charter.keys"
    assert refused(said(log_key=make.vkey(make.ORIGIN, 1, 2), hub_key=hub)) == "amend.fixed"
    amend(world, *world.sites, min_examples=25, log_key=log, hub_key=hub)
    world.play_round()


def test_a_lost_institution_key_is_replaced_by_its_peers(world: Federation) -> None:
    """The others vouch, never the hub."""
    hands = (f"{EAST}/institution", f"{SOUTH}/institution")
    rotate(world, f"{NORTH}/institution", *hands, reason="lost")
    world.play_round().approve(NORTH)


def test_an_amendment_binds_those_who_sign_and_lets_the_others_out(world: Federation) -> None:
    """Whoever does not sign is outside until it joins."""
    world.play_round()
    amend(world, EAST, NORTH, max_rounds=9)
    assert world.state.active_sites() == [EAST, NORTH]
    assert world.state.charter.max_rounds == 9
    world.play_round()
    assert world.state.rounds_closed[-1].number == 2
    world.must("site.joined", {"charter": world.state.version_id}, f"{SOUTH}/institution")
    world.play_round()


def test_an_amendment_brings_a_new_hospital_with_its_keys(world: Federation) -> None:
    """The newcomer signs with the key the amendment names."""
    names = make.NAMES
    amend(world, *names, sites=names)
    assert world.state.active_sites() == list(names)
    world.play_round()


def test_an_amendment_may_change_the_researcher_with_both_signatures(world: Federation) -> None:
    """The old one hands over, the new one takes."""
    new = "lead.example/r-8"
    body = amended(world, researcher=make.vkey(new))
    names = tuple(f"{site}/institution" for site in world.sites)
    who = (make.RESEARCHER, new, *names)
    world.must("charter.amended", body, make.RESEARCHER, signers=who)
    assert refused(
        world.say("study.stopped", {"reason": "safety", "on_behalf": None}, make.RESEARCHER)
    ) in {"note.form"}
    world.stop(new)


def test_a_public_key_of_a_removed_hospital_never_returns(world: Federation) -> None:
    """Removed and back again means new keys."""
    amend(world, EAST, NORTH, sites=(EAST, NORTH))
    body = amended(world)
    names = tuple(f"{site}/institution" for site in world.sites)
    verdict = world.say("charter.amended", body, make.RESEARCHER, signers=(make.RESEARCHER, *names))
    assert refused(verdict) == "charter.keys"


def test_a_cap_rises_only_with_the_hospital_that_owns_it(world: Federation) -> None:
    """Who signs the higher cap gets it; a hospital's own lower limit is not lifted by others."""
    world.must("site.limited", {"dataset": "cxr", "epsilon": "1.0"}, f"{SOUTH}/node")
    rows = [make.dataset_row(site, epsilon="3.0") for site in world.sites]
    rows[2]["epsilon"] = "1.0"
    amend(world, EAST, NORTH, datasets=rows)
    assert world.state.epsilon_cap[SOUTH, make.DATASET] == Decimal("1.0")
    amend(world, *world.sites)
    assert world.state.epsilon_cap[SOUTH, make.DATASET] == Decimal("3.0")


def test_privacy_is_dropped_only_by_all_whose_cap_it_was(world: Federation) -> None:
    """An amendment without a cap, signed by everybody, trains without a cost."""
    rows = [make.dataset_row(site, epsilon=None) for site in world.sites]
    amend(world, *world.sites, dp=None, datasets=rows)
    assert world.state.epsilon_cap == {}
    world.play_round()


def test_privacy_may_be_agreed_later(world: Federation) -> None:
    """A first cap is a tightening; everybody who trains afterwards tells the cost."""
    rows = [make.dataset_row(site, epsilon=None) for site in world.sites]
    world = Federation(dp=None, datasets=rows).play_round()
    amend(world, EAST, NORTH)
    assert world.state.epsilon_cap[SOUTH, make.DATASET] == Decimal("3.0")
    world.play_round()
