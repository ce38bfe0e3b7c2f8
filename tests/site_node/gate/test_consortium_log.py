"""The consortium's own log at the hospital: pinned at the first contact, witnessed ever after."""

from __future__ import annotations

import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.ledger.cosign import check_cosignature
from compliance.records.envelope import write_event
from compliance.rules.logs import family_of
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse, seal
from site_node.wiring import Rooms
from tests.site_node.gate.world import (
    CONSORTIUM,
    STUDY,
    THEM,
    World,
    key,
    public_of,
)

WEST = "west.example"


def three(world: World) -> Rooms:
    """A consortium of north, south and west, with a study of north and south."""
    made = world.joined(founded=False)
    motion = world.hub.found(THEM, WEST)
    made.motions.sign(made.motions.find(motion), None, None)
    world.launched(made)
    return made


def test_the_consortiums_log_is_cosigned_like_a_studys(world: World, rooms: Rooms) -> None:
    """The agreement names this hospital as a witness: each new checkpoint gets its cosignature."""
    world.hub.agreed("recipe.retired", recipe="cnn2d-small", version=1, reason="superseded",
                     on_behalf=None)  # fmt: skip

    step = rooms.witness.step(CONSORTIUM)

    assert (step.outcome, step.size) == ("cosigned", len(world.hub.consortium.entries))
    text = parse(world.hub.checkpoint(world.hub.consortium)).text
    line = world.hub.consortium.lines[-1]
    assert check_cosignature(text, line, rooms.keys.public.witness)
    assert rooms.witness.follow_quorum(CONSORTIUM) == step.size


def test_an_agreement_swapped_for_another_is_an_alarm_and_opens_nothing(world: World) -> None:
    """What this hospital signed is what the log must begin with, word by word."""
    rooms = world.joined()
    with rooms.store.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM mirror_log")
    again = world.rooms()
    world.hub.consortium.__init__(CONSORTIUM)  # type: ignore[misc]  # another history begins
    institution = rooms.keys.institution(None)
    swapped = world.hub.found(title="Two other towns")
    world.hub.motions[swapped]["lines"].append(institution.line(world.hub.motions[swapped]["text"]))
    world.hub.try_motion(swapped)

    step = again.witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")
    assert again.consortium() is None
    world.hub.propose(world.charter(again))
    with pytest.raises(NotReady, match="not believed"):
        again.steward.approve(STUDY, None, None)


def test_an_agreement_that_the_others_founded_over_our_head_is_an_alarm(world: World) -> None:
    """Enough others signed another text, which names us and asks nothing of us: not ours."""
    rooms = world.joined()
    with rooms.store.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM mirror_log")
    world.hub.consortium.__init__(CONSORTIUM)  # type: ignore[misc]  # another history begins
    world.hub.try_motion(world.hub.found(THEM, WEST, signatures_required=2))

    step = world.rooms().witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")


def test_an_agreement_that_the_invitation_did_not_name_is_an_alarm(world: World) -> None:
    """Whoever joins later pins the agreement that the invitation's hub named then."""
    rooms = world.joined()
    named = sha256_id(b"another agreement")
    file = world.home / "site.toml"
    file.write_text(file.read_text().replace('consortium = ""', f'consortium = "{named}"'))
    with rooms.store.begin() as session:
        session.connection().exec_driver_sql("DELETE FROM mirror_log")

    step = world.rooms().witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.origin")


def test_a_forged_yes_under_the_agreement_is_an_alarm(world: World) -> None:
    """Even a true signature of this hospital's key counts only if it was given here."""
    rooms = world.joined(founded=False)
    motion = world.hub.found()
    text = world.hub.motions[motion]["text"]
    world.hub.motions[motion]["lines"].append(rooms.keys.institution(None).line(text))
    world.hub.try_motion(motion)

    step = rooms.witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")


def test_an_admission_that_the_hub_forges_is_not_cosigned(world: World, rooms: Rooms) -> None:
    """The hub and a stranger admit a hospital without the members: every witness says no."""
    note = world.hub.consortium_note(
        "member.admitted",
        key(f"{WEST}/institution"),
        site=WEST,
        country="SE",
        **public_of(WEST),
    )
    world.hub.consortium.take(note, unchecked=True)

    step = rooms.witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "member.signatures")
    assert world.hub.consortium.lines == []
    assert WEST not in rooms.mirror.consortium().members  # type: ignore[union-attr]


def test_a_signature_of_ours_under_an_admission_that_nobody_gave_here_is_an_alarm(
    world: World, rooms: Rooms
) -> None:
    """A stolen institution key admits somebody: this hospital notices at the next look."""
    stolen = [key(f"{THEM}/institution"), rooms.keys.institution(None), key(f"{WEST}/institution")]
    world.hub.agreed(
        "member.admitted",
        *stolen,
        site=WEST,
        country="SE",
        **public_of(WEST),
    )

    step = rooms.witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "own.forged")


def test_a_consortium_log_that_went_back_is_an_alarm(world: World, rooms: Rooms) -> None:
    """The hub takes a suspension back by showing an older log."""
    suspended = world.hub.consortium_note("recipe.retired", recipe="cnn2d-small", version=1,
                                          reason="security", on_behalf=None)  # fmt: skip
    world.hub.consortium.take(suspended)
    rooms.witness.step(CONSORTIUM)
    world.hub.consortium.entries.pop()

    step = rooms.witness.step(CONSORTIUM)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.old")


def test_the_hub_rotates_the_log_key_within_the_log(world: World, rooms: Rooms) -> None:
    """The new key counts for the checkpoint that contains its entry; no alarm, one cosignature."""
    fresh = SigningKey(world.hub.consortium_key.name, 1, key("fresh log key").seed)
    world.hub.agreed("key.rotated", name=fresh.name, vkey=str(fresh.verifier), reason="planned")
    world.hub.consortium_key = fresh

    step = rooms.witness.step(CONSORTIUM)

    assert (step.outcome, rooms.mirror.alarms()) == ("cosigned", [])


def test_words_put_into_the_past_are_refused(world: World, rooms: Rooms) -> None:
    """An entry that is a day older than our last cosignature was not there when it was given."""
    world.time.forward(hours=30)
    old = world.time.now
    world.hub.open_round()
    world.time.forward(hours=30)
    rooms.witness.step(STUDY)  # cosigned a day after the round: the log was quiet meanwhile
    late, world.time.now = world.time.now, old
    note = world.hub.note("round.aborted", {"round": 1, "reason": "operator", "on_behalf": None})
    world.time.now = late
    world.hub.log.take(note)

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "time.clock")


def test_a_text_that_several_sign_may_have_waited_for_weeks(world: World) -> None:
    """A suspension that was written three weeks ago is no word put into the past."""
    rooms = three(world)
    keys = [key(f"{name}/institution") for name in (THEM, WEST)]
    text = write_event(
        "member.left",
        {"site": WEST, "reason": "own_wish"},
        time=world.time.text(),
        actor=f"{WEST}/institution",
        log=world.hub.consortium.state.agreement_id,
        nonce="ab" * 16,
        kinds=family_of(CONSORTIUM).kinds,
    )
    slow = world.hub.consortium_note(
        "agreement.amended",
        *keys,
        agreement=world.hub.consortium.state.agreement.plain() | {"title": "Three towns"},
        previous=world.hub.consortium.state.version_id,
    )
    world.time.forward(days=21)
    world.hub.agreed("recipe.retired", recipe="cnn2d-small", version=1, reason="superseded",
                     on_behalf=None)  # fmt: skip
    rooms.witness.step(CONSORTIUM)

    world.hub.consortium.take(slow)
    assert rooms.witness.step(CONSORTIUM).outcome == "cosigned"
    world.hub.consortium.take(seal(text, keys[1]), unchecked=True)

    assert rooms.witness.step(CONSORTIUM).rule == "time.order"
