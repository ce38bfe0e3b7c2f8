"""What is said in a log: by whom, when, once, here; and what follows from it for a study."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compliance.errors import Malformed
from compliance.records.envelope import parse_event
from compliance.records.sealed import commitment
from compliance.rules.check import check_charter
from compliance.rules.fold import advance, judge, replay
from compliance.rules.verdict import Denied
from compliance.signing.note import parse, seal
from tests import factories as make
from tests.ledger.watchers import stranger
from tests.shared import shared_data
from tests.simulator import HUB, Federation, refused

EAST, NORTH, SOUTH = make.NAMES[:3]
STOP = {"reason": "safety", "on_behalf": None}


@pytest.fixture
def world() -> Federation:
    """A study that has begun."""
    return Federation()


def test_the_hub_cannot_speak_for_a_hospital(world: Federation) -> None:
    """Not with its own key, not with an invented one, not beside the hospital's."""
    node = f"{NORTH}/node"
    hands = {
        "event.signer": (world.key(HUB),),
        "note.form": (stranger(node),),
    }
    for rule, keys in hands.items():
        assert refused(world.say("site.withdrawn", {"reason": "policy"}, node, keys=keys)) == rule
    both = (world.key(HUB), world.key(node))
    told = world.say("site.withdrawn", {"reason": "policy"}, node, keys=both)

    assert refused(told) == "note.form"
    assert world.state.withdrawn == set()


def test_a_statement_counts_once_and_here(world: Federation) -> None:
    """The same words, the same nonce, another study's words: none is heard a second time."""
    note = world.draft("site.limited", {"dataset": "cxr", "epsilon": "2.0"}, f"{NORTH}/node")
    world.push(note)

    assert refused(world.push(note)) == "event.replay"
    text = parse(note).text.replace(b'"2.0"', b'"1.5"')
    assert refused(world.push(seal(text, world.key(f"{NORTH}/node")))) == "event.replay"
    other = Federation(title="Another study")
    assert refused(other.push(note)) == "event.log"


def test_the_nonce_of_another_speaker_is_free(world: Federation) -> None:
    """Nobody can silence somebody by using up his nonce."""
    nonce = "0" * 31 + "9"
    world.must("study.stopped", STOP, HUB, nonce=nonce)
    world.must("study.stopped", STOP, f"{NORTH}/node", nonce=nonce)


def test_time_cannot_be_bent(world: Federation) -> None:
    """Backdated, ahead of the clock that receives it, or no second at all."""
    world.time = make.later(world.time, hours=2)
    world.stop(HUB)
    old = make.later(world.time, minutes=-10, seconds=-1)
    assert refused(world.say("study.stopped", STOP, HUB, time=old)) == "time.order"
    ahead = world.draft("study.stopped", STOP, HUB)
    clock = make.later(world.time, minutes=-10, seconds=-1)
    assert refused(world.push(ahead, now=clock)) == "time.clock"
    odd = parse(world.draft("study.stopped", STOP, HUB)).text.replace(
        b':00Z","type"', b':60Z","type"'
    )
    assert refused(world.push(seal(odd, world.key(HUB)))) == "time.form"

    border = make.later(world.state.newest_time, minutes=-10)
    world.must("study.stopped", STOP, HUB, time=border)


def test_nobody_is_dropped_in_silence(world: Federation) -> None:
    """Every hospital of a round stands in exactly one place, with what it really sent."""
    world.opened().submitted(EAST, NORTH)
    used = world.closing()["used"]
    lies: list[tuple[str, dict[str, Any]]] = [
        ("round.omission", {"missing": {}}),
        ("round.omission", {"missing": {SOUTH: "late"}, "excluded": {SOUTH: "outlier"}}),
        ("round.omission", {"used": {EAST: used[EAST]}, "missing": {NORTH: "late", SOUTH: "late"}}),
        ("round.inputs", {"used": {EAST: used[NORTH], NORTH: used[EAST]}}),
        ("round.inputs", {"used": used | {SOUTH: make.sha("made up")}, "missing": {}}),
        ("round.aggregator", {"aggregator": "median"}),
        ("round.weights", {"weights": {EAST: "0.9", NORTH: "0.2"}}),
    ]
    for rule, lie in lies:
        assert refused(world.close(**lie)) == rule

    world.must("round.closed", world.closing(), HUB)


def test_a_swapped_program_or_model_opens_no_round(world: Federation) -> None:
    """The bundle that was signed, and the last common model: nothing else is trained."""
    assert refused(world.open(bundle_sha256=make.sha("another"))) == "round.bundle"
    assert refused(world.open(model_sha256=make.sha("another"))) == "round.model"


def test_a_model_leaves_with_consent_only(world: Federation) -> None:
    """Enough hospitals, none against it, in an agreed form, and only a model of this study."""
    world.play_round()
    assert refused(world.release()) == "release.approvals"
    world.approve(NORTH)
    assert refused(world.release()) == "release.approvals"
    world.approve(EAST)
    assert refused(world.release(form="onnx")) == "release.output"
    assert refused(world.release(model_sha256=make.sha("model 0"))) == "release.model"
    no = {"model_sha256": world.state.model_sha256, "reason": "leak_test"}
    world.must("release.refused", no, f"{SOUTH}/institution")
    assert refused(world.release()) == "release.refused"
    world.approve(SOUTH)

    assert not isinstance(world.release(), Denied)


def rotate(world: Federation, name: str, *signers: str, **changes: Any) -> Any:
    """Somebody replaces a key; the fold then knows the new one."""
    new = make.key(name, generation=1)
    body = {"name": name, "vkey": str(new.verifier), "reason": "stolen"} | changes
    return world.say("key.rotated", body, signers[0], signers=signers)


def test_a_stolen_key_is_worth_nothing_afterwards(world: Federation) -> None:
    """The thief speaks no more, brings it back under no name, and replaces nothing with it."""
    node, old = f"{NORTH}/node", world.key(f"{NORTH}/node")
    assert not isinstance(rotate(world, node, f"{NORTH}/institution"), Denied)
    world.keys[node] = make.key(node, generation=1)

    assert refused(world.say("study.stopped", STOP, node, keys=(old,))) == "note.form"
    back = {"name": node, "vkey": str(old.verifier), "reason": "planned"}
    assert refused(world.say("key.rotated", back, f"{NORTH}/institution")) == "key.reuse"
    again = {"name": node, "vkey": make.vkey(node, generation=2), "reason": "planned"}
    assert refused(world.say("key.rotated", again, node, keys=(old,))) == "note.form"
    world.must("study.stopped", STOP, node)


def test_a_lost_institution_key_is_replaced_by_the_others(world: Federation) -> None:
    """By two others, never by one, never by the hub."""
    name = f"{NORTH}/institution"
    assert refused(rotate(world, name, HUB)) == "key.authority"
    assert refused(rotate(world, name, f"{EAST}/institution", reason="lost")) == "key.authority"
    hands = f"{EAST}/institution", f"{SOUTH}/institution"

    assert not isinstance(rotate(world, name, *hands, reason="lost"), Denied)


def test_a_privacy_cap_of_nothing_is_named_for_the_study(world: Federation) -> None:
    """The writer is told about the study's own cap, not only about each dataset."""
    body = make.charter(
        world.sites,
        dp={"unit": "patient", "epsilon": "0", "delta": "0.00001", "accountant": "prv"},
    )

    found = [finding.found for finding in check_charter(body, make.BEGINS)]

    assert "dp.epsilon = 0" in found


def test_an_exponent_is_no_number_here(world: Federation) -> None:
    """`1e-9` would be a tenth of nothing to one reader and text to another."""
    world.opened()
    for strange in ("1e-9", "0.5E0", "+0.5", ".5", "0.5 ", "00.5", "-0", "٣"):
        cost = make.cost(epsilon=strange)
        with pytest.raises(Malformed):
            world.submit(NORTH, dp=cost)


# ------------------------------------------------------------------------------ erasure


def golden() -> dict[str, Any]:
    """The golden log."""
    loaded: dict[str, Any] = json.loads(shared_data("ledger", "golden.json").read_text("utf-8"))
    return loaded


def test_forgetting_keeps_the_proof() -> None:
    """A kept payload proves its commitment; without it the log holds as before."""
    log = golden()
    entries = [entry.encode() for entry in log["entries"]]
    events = [parse_event(parse(entry).text) for entry in entries]
    sealed = [event for event in events if event.sealed]
    told = log["sealed"]
    assert [event.sealed for event in sealed] == [told["commitment"]]
    assert commitment(bytes.fromhex(told["salt_hex"]), told["payload"]) == told["commitment"]

    del told["payload"], told["salt_hex"]

    state = replay(entries)
    assert state.summary() == log["fold"]
    assert events[-1].type == "erasure.done"


def test_a_sealed_payload_cannot_be_guessed_or_exchanged() -> None:
    """The same payload under another salt is another commitment: sixteen random bytes hide it."""
    told = golden()["sealed"]

    assert commitment(bytes(16), told["payload"]) != told["commitment"]
    assert commitment(bytes.fromhex(told["salt_hex"]), {"note": "another"}) != told["commitment"]


def test_an_erasure_may_be_said_and_changes_no_entry(world: Federation) -> None:
    """What was done is on record; everything before it stays proven."""
    world.play_round()
    before = world.state.root()
    gone = {"what": "sealed", "commitment": make.sha("gone")}
    world.must("erasure.done", gone, HUB)

    assert world.state.root(len(world.entries) - 1) == before


# ------------------------------------------------------------------------------ the fold itself


def test_an_entry_is_taken_only_after_it_was_judged(world: Federation) -> None:
    """The state is never changed by bytes that no rule has seen, nor by a second beginning."""
    for note in (b"x", world.entries[0]):
        with pytest.raises(Malformed):
            advance(world.state, note, world.state.size)
    assert isinstance(judge(world.state, b"x"), Denied)
