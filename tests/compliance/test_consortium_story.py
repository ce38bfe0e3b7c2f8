"""A consortium from its agreement to its last study: every kind of statement is accepted once."""

from __future__ import annotations

import pytest

from compliance.errors import Malformed, Refused
from compliance.ledger.merkle import leaf_hash, root
from compliance.records.envelope import parse_event, write_event
from compliance.records.kinds import CONSORTIUM
from compliance.rules.consortium.authority import MAY_SAY
from compliance.rules.consortium.fold import FAMILIES, FOLD, advance, judge, may, replay
from compliance.rules.consortium.state import ConsortiumState, Standing
from compliance.rules.verdict import Allowed
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import parse
from tests import factories as make
from tests.consortium import HUB, Consortium, institutions, whole_life
from tests.simulator import refused

EAST, NORTH, SOUTH, WEST = make.NAMES


@pytest.fixture
def world() -> Consortium:
    """Three founders that all signed."""
    return Consortium()


LIFE = whole_life()


def test_every_kind_of_statement_is_accepted_once_in_a_consortiums_life() -> None:
    """No kind is only on paper."""
    said = [parse_event(parse(entry).text, kinds=CONSORTIUM).type for entry in LIFE.entries]
    assert said[0] == "agreement"
    assert set(said[1:]) == set(CONSORTIUM)


def test_the_state_tells_who_belongs_and_what_there_is() -> None:
    """Members, researchers, recipes, data, offers, requests and studies, with their places."""
    state = LIFE.state
    assert state.active_members() == state.active_sites() == [EAST, NORTH]
    assert (state.members[SOUTH].standing, state.members[WEST].standing) == (
        Standing.SUSPENDED, Standing.LEFT,
    )  # fmt: skip
    assert state.members[WEST].country == "FR"
    assert state.researchers[make.RESEARCHER].left is not None
    recipe = state.recipes["cxr", 1]
    assert (recipe.sha256, recipe.bundle_sha256) == (make.sha("recipe"), make.sha("bundle"))
    assert (recipe.family, recipe.task) == ("cnn2d_small", "binary-classification")
    assert recipe.retired is not None
    dataset = state.datasets[NORTH, make.DATASET][make.sha("version")]
    assert (dataset.index, dataset.withdrawn) == (5, True)
    assert dataset.body.examples == "≥100"
    assert state.offers["chest-images"].maker == NORTH
    assert [row.answer for row in state.requests.values()] == ["granted"]
    assert state.proposed[make.sha("charter")].actor == make.RESEARCHER
    assert state.refused == {make.sha("charter"): {SOUTH: "data"}}
    listed = state.studies[make.sha("charter")]
    assert (listed.origin, listed.entry0) == (make.ORIGIN, make.sha("entry 0 of the study"))
    assert listed.closed is not None
    assert [row.body.rule for row in state.denials] == ["charter.floors"]
    assert [row.body.size for row in state.exports] == [16]
    assert state.agreement.amend_k == 3


def test_the_state_has_the_names_that_every_log_has() -> None:
    """Code that keeps many logs asks each the same questions."""
    state = LIFE.state
    assert state.origin == make.CONSORTIUM
    assert state.log_key == make.vkey(make.CONSORTIUM)
    assert state.charter_id == state.agreement_id
    assert state.size == len(LIFE.entries)
    assert state.root() == state.root(state.size) != state.root(state.size - 1)


def test_whoever_reads_the_log_again_comes_to_the_same_state() -> None:
    """Reading and folding all entries from the start gives an equal state and an equal root."""
    again = replay(LIFE.entries)
    assert again.summary() == LIFE.state.summary()
    assert vars(again) | {"tree": None} == vars(LIFE.state) | {"tree": None}
    assert again.root() == LIFE.state.root()


def test_every_statement_is_written_as_it_was_read() -> None:
    """Reading and writing again gives the same bytes."""
    for entry in LIFE.entries:
        text = parse(entry).text
        event = parse_event(text, kinds=CONSORTIUM)
        again = write_event(
            event.type, event.body, time=event.time, actor=event.actor, log=event.log,
            nonce=event.nonce, kinds=CONSORTIUM,
        )  # fmt: skip
        assert again == text


def test_no_clock_decides_what_an_entry_means() -> None:
    """A judge with a clock, a judge without, and a judge years later come to the same state."""
    states: list[ConsortiumState | None] = [None, None]
    for index, entry in enumerate(LIFE.entries):
        for at, now in enumerate((make.BEGINS, "2040-01-01T00:00:00Z")):
            late = make.later(now, hours=1)
            assert isinstance(judge(states[at], entry, now=late), Allowed)
            states[at] = advance(states[at], entry, index)
    assert states[0] is not None
    assert states[1] is not None
    assert states[0].summary() == states[1].summary() == LIFE.state.summary()


def test_a_changed_letter_in_any_entry_is_refused() -> None:
    """Whatever is changed in a statement, its signature no longer holds."""
    for index, entry in enumerate(LIFE.entries):
        state = replay(LIFE.entries[:index]) if index else None
        at = entry.index(b'"time":"2026') + 20
        changed = entry[:at] + bytes([entry[at] ^ 1]) + entry[at + 1 :]
        assert refused(judge(state, changed)) == "note.form", index


def test_a_replay_names_the_first_bad_entry() -> None:
    """An edited history stops where it was edited; an empty one is none."""
    forged = [*LIFE.entries[:4], LIFE.entries[3], *LIFE.entries[4:]]
    with pytest.raises(Refused) as refusal:
        replay(forged)
    assert (refusal.value.rule, refusal.value.found) == ("event.replay", 4)
    with pytest.raises(Malformed, match="begins with its agreement"):
        replay([])


def test_entries_are_taken_in_order_only(world: Consortium) -> None:
    """The fold takes the next entry, not another one, and nothing that no rule has seen."""
    note = world.draft("recipe.registered", HUB)
    with pytest.raises(Malformed, match="not the next one"):
        advance(world.state, note, 2)
    with pytest.raises(Malformed, match="not judged"):
        advance(world.state, world.entries[0], 1)
    for nothing in (b"nothing", note, make.entry0(make.charter())):
        with pytest.raises(Refused):
            advance(None, nothing, 0)


def test_every_kind_has_an_author_and_a_rule() -> None:
    """What is not in the tables is denied."""
    assert set(FAMILIES) == set(MAY_SAY) == set(CONSORTIUM)
    assert set(CONSORTIUM) > FOLD.several
    assert all(set(roles) <= set("NIHR") for roles in MAY_SAY.values())


def test_the_question_before_the_act_has_the_same_answer(world: Consortium) -> None:
    """Asked without a signature, the rules answer as they will when it is said."""
    bodies = make.consortium_bodies()
    recipe = bodies["recipe.registered"]
    assert isinstance(may(world.state, "recipe.registered", recipe, HUB, world.time), Allowed)
    assert world.state.size == 1
    withdrawal = bodies["dataset.withdrawn"]
    answers = {
        "authority": may(world.state, "recipe.registered", recipe, f"{EAST}/node", world.time),
        "event.type": may(world.state, "round.opened", recipe, HUB, world.time),
        "event.form": may(world.state, "recipe.registered", recipe | {"version": "1"}, HUB, "x"),
        "time.form": may(world.state, "recipe.registered", recipe, HUB, "now"),
        "dataset.unknown": may(
            world.state, "dataset.withdrawn", withdrawal, f"{EAST}/node", world.time
        ),
        "member.signatures": may(
            world.state, "member.admitted", make.admission(WEST), f"{WEST}/institution", world.time
        ),
    }
    assert {rule: refused(verdict) for rule, verdict in answers.items()} == {
        rule: rule for rule in answers
    }


# --- members ---


def test_a_founder_that_did_not_sign_is_admitted_later_with_the_same_keys() -> None:
    """Nobody is bound by a text he did not sign; signing later is an admission."""
    world = Consortium(signed=(EAST, NORTH))
    assert world.state.active_members() == [EAST, NORTH]
    assert refused(world.say("dataset.registered", f"{SOUTH}/node")) == "member.known"
    assert isinstance(world.admit(SOUTH, EAST, NORTH), Allowed)
    world.must("dataset.registered", f"{SOUTH}/node")


def test_a_suspended_hospital_comes_back_with_its_old_keys(world: Consortium) -> None:
    """The others and itself want it; from the next entry on it speaks again."""
    assert isinstance(world.suspend(SOUTH, EAST, NORTH), Allowed)
    assert isinstance(world.admit(SOUTH, EAST, NORTH), Allowed)
    world.must("dataset.registered", f"{SOUTH}/node")


def test_a_hospital_that_left_comes_back_with_new_keys(world: Consortium) -> None:
    """Keys never seen before; the old ones are silent from then on."""
    world.must("member.left", f"{SOUTH}/institution", site=SOUTH)
    old = world.key(f"{SOUTH}/node")
    for role in ("institution", "node"):
        world.keys[f"{SOUTH}/{role}"] = make.key(f"{SOUTH}/{role}", generation=1)
    names = institutions(SOUTH, EAST, NORTH)
    world.must("member.admitted", names[0], signers=names, body=make.admission(SOUTH, 1))
    world.must("dataset.registered", f"{SOUTH}/node")
    assert refused(world.say("offer.made", f"{SOUTH}/node", keys=(old,))) == "note.form"
    assert str(world.state.keys.current[f"{SOUTH}/witness"]) == make.admission(SOUTH, 1)["witness"]


def test_an_admission_may_be_spoken_by_a_sponsor_or_by_the_newcomer(world: Consortium) -> None:
    """Who brings the text is not what counts, but who signed it."""
    names = institutions(WEST, EAST, NORTH)
    world.must("member.admitted", names[0], signers=names, body=make.admission(WEST))
    assert WEST in world.state.active_members()


def test_members_come_and_go_and_the_amended_text_follows(world: Consortium) -> None:
    """The new text names the members and keys as they stand, also the suspended one."""
    assert isinstance(world.admit(WEST, EAST, NORTH), Allowed)
    assert isinstance(world.rotate(f"{WEST}/node", f"{WEST}/institution"), Allowed)
    assert isinstance(world.suspend(SOUTH, EAST, NORTH), Allowed)
    rows = [make.member(name) for name in make.NAMES]
    assert refused(world.amend(EAST, NORTH, members=rows, admit_k=3, amend_k=3)) == "agreement.form"
    rows[3]["node"] = make.vkey(f"{WEST}/node", generation=1)
    amended = world.amend(EAST, NORTH, members=rows, admit_k=3, amend_k=3)
    assert isinstance(amended, Allowed)
    assert world.state.version_id == world.state.agreement.digest()
    assert world.state.agreement_id == replay(world.entries[:1]).agreement_id


# --- keys ---


def test_keys_are_replaced_by_those_who_may(world: Consortium) -> None:
    """The institution for its machines, each for itself, most of the others for a lost one."""
    hands = institutions(EAST, NORTH)
    world.must("researcher.admitted", f"{EAST}/institution")
    for name, signers, reason in (
        (f"{NORTH}/node", (f"{NORTH}/node",), "planned"),
        (f"{SOUTH}/institution", hands, "lost"),
        (make.RESEARCHER, (make.RESEARCHER,), "planned"),
        (HUB, hands, "takeover"),
        (make.CONSORTIUM, (HUB,), "planned"),
    ):
        assert isinstance(world.rotate(name, *signers, reason=reason), Allowed), name
    witness = f"{EAST}/witness"
    turned = world.rotate(witness, f"{EAST}/institution", kind=COSIGNATURE, reason="stolen")
    assert isinstance(turned, Allowed)
    assert refused(world.amend(EAST, NORTH)) == "amend.fixed"
    world.must("recipe.registered", HUB)


def test_a_suspended_hospitals_key_is_replaced_by_its_peers_only(world: Consortium) -> None:
    """The hospital itself says nothing; the others may still save its key."""
    assert isinstance(world.admit(WEST, EAST, NORTH), Allowed)
    assert isinstance(world.suspend(SOUTH, EAST, NORTH), Allowed)
    own = world.rotate(f"{SOUTH}/node", f"{SOUTH}/institution")
    assert refused(own) == "site.suspended"
    name = f"{SOUTH}/institution"
    assert isinstance(world.rotate(name, *institutions(EAST, NORTH), reason="lost"), Allowed)


# --- registry, offers, studies ---


def test_a_withdrawn_dataset_may_come_again_in_another_version(world: Consortium) -> None:
    """One version is withdrawn, or all; a new version is a new registration."""
    first, second = make.sha("version"), make.sha("version 2")
    world.must("dataset.registered", f"{EAST}/node")
    world.must("dataset.registered", f"{EAST}/node", version=second)
    world.must("dataset.withdrawn", f"{EAST}/institution", version=first)
    rows = world.state.datasets[EAST, make.DATASET]
    assert (rows[first].withdrawn, rows[second].withdrawn) == (True, False)
    world.must("dataset.withdrawn", f"{EAST}/node")
    assert all(row.withdrawn for row in world.state.datasets[EAST, make.DATASET].values())
    world.must("dataset.registered", f"{EAST}/node", version=make.sha("version 3"))


def test_the_hub_makes_and_answers_offers_of_its_own(world: Consortium) -> None:
    """A model of the consortium is offered by the hub, and a refusal carries its reason."""
    world.must("researcher.admitted", HUB)
    world.must("offer.made", HUB, kind="model", on_behalf=make.WHO)
    world.must("request.made", make.RESEARCHER)
    world.must("request.answered", HUB, request=3, answer="refused", reason="legal")
    assert world.state.requests[3].reason == "legal"
    world.must("offer.withdrawn", HUB)


def test_a_researcher_without_a_key_proposes_through_the_hub(world: Consortium) -> None:
    """The hub says on whose behalf; the log shows that the hub attested it."""
    world.must("study.proposed", HUB, on_behalf=make.WHO)
    assert world.state.proposed[make.sha("charter")].actor == HUB


def test_a_hospital_refuses_a_charter_that_the_hub_kept_to_itself(world: Consortium) -> None:
    """A refusal on record is not the hub's to prevent by not listing the proposal."""
    world.must("study.refused", f"{EAST}/institution")
    world.must("study.refused", f"{NORTH}/institution", reason="privacy")
    assert set(world.state.refused[make.sha("charter")]) == {EAST, NORTH}


# --- time ---


def test_a_text_of_several_may_have_waited_twenty_days(world: Consortium) -> None:
    """Signatures of several hospitals take their time; a statement of one does not."""
    waiting = world.draft(
        "member.admitted", f"{EAST}/institution",
        signers=institutions(EAST, NORTH, WEST), body=make.admission(WEST),
    )  # fmt: skip
    single = world.draft("dataset.registered", f"{EAST}/node")
    world.time = make.later(world.time, days=20)
    world.must("recipe.registered", HUB)
    assert refused(world.push(single)) == "time.order"
    assert isinstance(world.push(waiting), Allowed)


def test_a_statement_does_not_turn_the_clock_of_the_log_back(world: Consortium) -> None:
    """A little late is accepted, and the newest time stays the newest."""
    late = world.draft("recipe.registered", HUB, version=1)
    world.must("recipe.registered", HUB, version=2)
    newest = world.state.newest_time
    assert isinstance(world.push(late), Allowed)
    assert world.state.newest_time == newest


def test_the_root_of_the_log_is_over_its_entries_as_received() -> None:
    """The tree is over the notes themselves, as in every log."""
    assert root(leaf_hash(entry) for entry in LIFE.entries) == LIFE.state.root()
