"""The consortium's own log is believed no more than a study's: the same steps, the same memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.ledger.checkpoint import parse_text
from compliance.records.envelope import write_event
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.policies import agreed_policy_in_force
from compliance.signing.note import parse, seal
from dashboard.checking import Checked, check_log
from dashboard.remembered import Memory
from tests import factories as make
from tests.consortium import EAST, HUB, NORTH, SOUTH, WEST, Consortium, cosigned
from tests.dashboard.faked import FakeHub
from tests.simulator import Federation

LOG = "consortium"


@pytest.fixture
def memory(tmp_path: Path) -> Memory:
    """A dashboard that has seen nothing yet."""
    return Memory(tmp_path / "checkpoints")


@pytest.fixture
def world() -> Consortium:
    """Three founders, a recipe and a data set."""
    return Consortium().must("recipe.registered", HUB).must("dataset.registered", f"{NORTH}/node")


def shown(entries: list[bytes], *sites: str) -> FakeHub:
    """A hub that shows these entries, cosigned by these hospitals, or by two."""
    return FakeHub(entries, cosigned(entries, *(sites or (EAST, NORTH))))


def check(hub: FakeHub, memory: Memory, *policies: str) -> Checked:
    """Check the consortium's log as of its end."""
    return check_log(hub, LOG, memory=memory, now=lambda: 2_000_000_000, policies=policies)


def policy_of(world: Consortium) -> str:
    """What a hospital would hand to the operator."""
    return agreed_policy_in_force(world.state)


def test_it_is_proven_with_a_hospitals_policy_and_reported_without(
    world: Consortium, memory: Memory
) -> None:
    """The policy of this very log counts, also among others; the state is the one of our fold."""
    hub = shown(world.entries)
    of_a_study = f"log {make.vkey(make.ORIGIN)}\nquorum none\n"

    found = check(hub, memory, of_a_study, policy_of(world))

    assert (found.standing, found.size) == ("proven", 3)
    assert sorted(found.cosigned) == [EAST, NORTH]
    assert isinstance(found.state, ConsortiumState)
    assert found.state.summary() == world.state.summary()
    assert check(hub, memory).standing == "reported"
    assert check(hub, memory, of_a_study).standing == "reported"


def test_too_few_cosignatures_prove_nothing(world: Consortium, memory: Memory) -> None:
    """One of two is said to be missing, and nothing is remembered."""
    hub = FakeHub(world.entries, b"", cosigned(world.entries, EAST))

    found = check(hub, memory, policy_of(world))

    assert (found.standing, found.step) == ("unknown", "quorum")
    assert memory.known(LOG) is None


def test_a_rollback_between_two_visits_is_named_with_both_checkpoints(
    world: Consortium, memory: Memory
) -> None:
    """A suspension that vanishes is the reason why somebody would do that."""
    world.suspend(SOUTH, EAST, NORTH)
    assert check(shown(world.entries), memory).standing == "reported"

    found = check(shown(world.entries[:3]), memory, policy_of(world))

    assert (found.standing, found.step) == ("refuted", "rollback")
    assert [parse_text(parse(proof).text).size for proof in found.proofs] == [4, 3]
    assert found.state is None


@pytest.mark.parametrize("longer", [False, True])
def test_another_past_of_the_same_log_is_a_fork(
    world: Consortium, memory: Memory, *, longer: bool
) -> None:
    """Although every rule holds and everybody signed the second history too."""
    assert check(shown(world.entries), memory).standing == "reported"
    other = Consortium()
    other.must("dataset.registered", f"{NORTH}/node").must("recipe.registered", HUB)
    if longer:
        other.must("offer.made", f"{NORTH}/node")

    found = check(shown(other.entries, *other.sites), memory, policy_of(world))

    assert (found.standing, found.step) == ("refuted", "fork")
    assert len(found.proofs) == 2


def test_entries_that_were_not_signed_as_shown_are_refuted(
    world: Consortium, memory: Memory
) -> None:
    """The root under the cosignatures is that of other entries."""
    other = Consortium().must("dataset.registered", f"{NORTH}/node").must("recipe.registered", HUB)

    found = check(FakeHub(other.entries, cosigned(world.entries, EAST, NORTH)), memory)

    assert (found.standing, found.step) == ("refuted", "root")


def test_an_admission_that_the_members_did_not_sign_is_named(
    world: Consortium, memory: Memory
) -> None:
    """The hub lets a hospital in by itself: the entry and the rule are said."""
    body = make.admission(WEST)
    note = world.draft("member.admitted", f"{WEST}/institution", body=body)

    found = check(shown([*world.entries, note]), memory, policy_of(world))

    assert (found.standing, found.step, found.bad) == ("refuted", "member.signatures", 3)


def test_an_agreement_that_the_founders_did_not_sign_is_no_beginning(memory: Memory) -> None:
    """A hub cannot found a consortium by itself."""
    text = write_event("agreement", make.agreement(), time=make.BEGINS)
    note = seal(text, make.key(f"{EAST}/institution"))

    found = check(shown([note]), memory)

    assert (found.standing, found.bad) == ("refuted", 0)


def test_a_consortium_of_the_hubs_own_making_is_refuted_by_the_policy(
    world: Consortium, memory: Memory
) -> None:
    """Keys of its own throughout: without a policy reported, with it the log key is a stranger."""
    stranger = make.key(make.CONSORTIUM, generation=7)
    made_up = Consortium(log_key=str(stranger.verifier))
    hub = FakeHub(made_up.entries, cosigned(made_up.entries, EAST, NORTH, key=stranger))

    found = check(hub, memory, policy_of(world))

    assert (found.standing, found.step) == ("refuted", "policy")


def test_a_log_key_that_was_replaced_by_the_rules_asks_for_a_new_policy(
    world: Consortium, memory: Memory
) -> None:
    """Neither green nor red: the entry that did it is named."""
    old = policy_of(world)
    world.rotate(make.CONSORTIUM, HUB)
    fresh = world.keys[make.CONSORTIUM]
    hub = FakeHub(world.entries, cosigned(world.entries, EAST, NORTH, key=fresh))

    found = check(hub, memory, old)

    assert (found.standing, found.step) == ("unknown", "policy")
    assert "Entry 3" in found.finding
    assert check(hub, memory, policy_of(world)).standing == "proven"


def test_the_log_of_a_study_is_not_taken_for_the_consortiums(
    world: Consortium, memory: Memory
) -> None:
    """Nor the other way round, nor one study's for another's."""
    study = Federation()
    as_study = check_log(
        shown(world.entries), "00112233445566aa", memory=memory, now=lambda: 2_000_000_000
    )

    assert check(shown(study.entries), memory).standing == "refuted"
    assert as_study.standing == "refuted"


def test_what_was_seen_of_one_log_says_nothing_about_another(
    world: Consortium, memory: Memory
) -> None:
    """The memory keeps one checkpoint a log, and takes no other names."""
    check(shown(world.entries), memory)

    assert memory.known(LOG) == cosigned(world.entries, EAST, NORTH)
    assert memory.known("00112233445566aa") is None
