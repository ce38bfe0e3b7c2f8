"""The two families of logs behind one set of questions."""

from __future__ import annotations

import pytest

from compliance.ledger.policy import policy_of_agreement, policy_of_charter
from compliance.records.envelope import parse_event
from compliance.rules.logs import CONSORTIUM, STUDY, Family, family_of
from compliance.rules.verdict import Allowed
from compliance.signing.note import parse
from tests import factories as make
from tests.consortium import HUB, Consortium
from tests.simulator import Federation


def test_the_name_of_a_log_tells_its_family() -> None:
    """By origin or by the short name of an address."""
    for name in ("consortium", make.CONSORTIUM, "hub.example:8443/consortium"):
        assert family_of(name) is CONSORTIUM
    for name in (make.ORIGIN, "00112233445566aa", "consortium.example/study/00112233445566aa"):
        assert family_of(name) is STUDY


@pytest.mark.parametrize("family", [STUDY, CONSORTIUM], ids=lambda family: family.name)
def test_both_families_answer_the_same_questions(family: Family) -> None:
    """Judge, advance, replay, may and policy: whoever keeps logs needs no second code."""
    world = Federation() if family is STUDY else Consortium()
    said = {"what": "sealed", "commitment": None}
    if isinstance(world, Federation):
        world.must("erasure.done", said, HUB)
        policy = policy_of_charter(world.state.charter)
    else:
        world.must("erasure.done", HUB, body=said)
        policy = policy_of_agreement(world.state.agreement)

    state = family.replay(world.entries)

    assert state.summary() == world.state.summary()
    assert (state.origin, state.log_key) == (world.state.origin, world.state.log_key)
    assert state.signatures_required == 2
    assert state.active_sites() == list(make.NAMES[:3])
    assert family.policy(state) == policy
    assert isinstance(family.may(state, "erasure.done", said, HUB, world.time), Allowed)
    assert isinstance(family.judge(None, world.entries[0]), Allowed)
    again = family.advance(None, world.entries[0], 0)
    assert (again.size, again.charter_id) == (1, state.charter_id)
    assert family_of(state.origin) is family
    first = parse_event(parse(world.entries[0]).text, kinds=family.kinds)
    assert first.type == family.entry0
