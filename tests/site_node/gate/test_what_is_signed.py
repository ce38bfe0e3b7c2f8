"""What a hospital signs of several: the text that was shown, after its questions, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from compliance.records.envelope import write_event
from compliance.rules.logs import family_of
from compliance.signing.note import parse_line
from site_node.gate.motion_page import motion_lines
from site_node.gate.motions import read_motion
from tests.house import House
from tests.site_node.gate.world import CONSORTIUM, STUDY, World, key, public_of

THREE = ("north.example", "south.example", "west.example")


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A real hub and three hospitals that have founded their consortium."""
    return House(tmp_path, capsys, THREE)


def test_a_signature_waits_for_a_hub_that_rests_and_is_the_same_later(world: World) -> None:
    """Signed by a person here; handed over by the agent, which signs nothing itself."""
    rooms = world.joined(founded=False)
    motion = rooms.motions.find(world.hub.found())
    world.hub.away = True
    told = rooms.motions.sign(motion, None, None)
    rooms.motions.keep_word()
    assert (told["state"], rooms.consortium()) == ("kept", None)

    world.hub.away = False
    rooms.motions.keep_word()

    assert world.hub.motions[motion.motion]["state"] == "carried"
    assert rooms.consortium() is not None
    rooms.motions.keep_word()
    assert len(world.hub.motions[motion.motion]["lines"]) == 2


def test_a_text_made_for_another_log_is_not_signed(world: World) -> None:
    """An admission of another consortium, laid before these members, gets no signature."""
    rooms = world.joined()
    text = write_event(
        "member.suspended",
        {"site": "south.example", "reason": "security"},
        time=world.time.text(),
        actor="south.example/institution",
        log=sha256_id(b"another consortium"),
        nonce="cd" * 16,
        kinds=family_of(CONSORTIUM).kinds,
    )
    motion = rooms.motions.find(world.hub.lay(CONSORTIUM, text))

    with pytest.raises(Refused) as caught:
        rooms.motions.sign(motion, None, None)

    assert caught.value.rule == "event.log"
    assert world.hub.motions[motion.motion]["lines"] == []


def test_a_text_that_the_own_fold_denies_is_not_signed(world: World) -> None:
    """More signatures could not make this one true: nobody of that name can be suspended."""
    rooms = world.joined()
    text = write_event(
        "member.suspended",
        {"site": "lake.example", "reason": "security"},
        time=world.time.text(),
        actor="south.example/institution",
        log=rooms.agreement_id(),
        nonce="ef" * 16,
        kinds=family_of(CONSORTIUM).kinds,
    )
    motion = rooms.motions.find(world.hub.lay(CONSORTIUM, text))

    with pytest.raises(Refused) as caught:
        rooms.motions.sign(motion, None, None)

    assert caught.value.rule == "member.known"


def test_the_text_that_was_shown_is_signed_whatever_the_hub_holds_by_then(world: World) -> None:
    """Between page and passphrase the hub puts another text under the id: its bytes get nothing."""
    rooms = world.joined(founded=False)
    shown = rooms.motions.find(world.hub.found())
    kept = world.hub.motions[shown.motion]
    kept["text"] = kept["text"].replace(b"Two towns", b"Two tombs")

    with pytest.raises(Refused):
        rooms.motions.sign(shown, None, None)

    line = parse_line(kept["lines"][-1])
    institution = rooms.keys.public.institution
    assert institution.verifies(shown.text, line.signature)
    assert not institution.verifies(kept["text"], line.signature)
    with pytest.raises(Refused):
        read_motion(world.hub.told(shown.motion))


def test_the_page_of_a_change_names_every_field_that_changes(house: House) -> None:
    """What stands in the agreement in force, and what it would become."""
    north = house.sites["north.example"]
    state = north.mirror.consortium()
    assert state is not None
    body = state.agreement.plain()
    body["floors"] = body["floors"] | {"min_examples": 2}
    told = {"agreement": body, "previous": state.version_id}

    north.motions.propose(CONSORTIUM, "agreement.amended", told, None)

    (motion,) = [row for row in north.motions.all() if row.state == "open"]
    page = motion_lines(motion, north.motions.in_force(motion))
    assert "  floors.min_examples: 5  ->  2" in page
    assert not any("title:" in line for line in page)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"hub": str(key("hub.example/events", seed="impostor").verifier)}, "checkpoint.origin"),
        ({"admit_k": 1}, "agreement.form"),
        ({"quorum": {"k": 3, "witnesses": ["south.example"]}}, "agreement.form"),
    ],
)
def test_an_agreement_that_cannot_hold_is_not_signed(
    world: World, changes: dict[str, object], rule: str
) -> None:
    """Of another hub, with one member that decides alone, with an impossible quorum."""
    rooms = world.joined(founded=False)
    motion = rooms.motions.find(world.hub.found(**changes))

    with pytest.raises(Refused) as caught:
        rooms.motions.sign(motion, None, None)

    assert caught.value.rule == rule
    assert len(world.hub.motions[motion.motion]["lines"]) == 1


def test_an_agreement_with_foreign_keys_under_our_name_is_not_signed(world: World) -> None:
    """The hub knew other keys of us than those that lie here: nobody signs for a stranger."""
    rooms = world.joined(founded=False)
    known = world.hub.members["north.example"]
    world.hub.members["north.example"] = known | {
        "witness": key("north.example/witness", 4, seed="impostor").verifier
    }
    motion = world.hub.found()
    world.hub.members["north.example"] = known

    with pytest.raises(Refused, match="do not sign") as caught:
        rooms.motions.sign(rooms.motions.find(motion), None, None)

    assert caught.value.rule == "member.known"


def test_a_consortium_is_founded_once(world: World) -> None:
    """A second agreement beside the one in force gets no signature."""
    rooms = world.joined()
    second = world.hub.found(title="Another one")

    with pytest.raises(Refused, match="founded already"):
        rooms.motions.sign(rooms.motions.find(second), None, None)


def test_nothing_is_signed_while_an_alarm_stands(world: World) -> None:
    """Whoever shows two histories is not helped to a third by this hospital's key."""
    rooms = world.joined()
    world.hub.consortium.entries.pop()
    rooms.witness.step(CONSORTIUM)

    with pytest.raises(Refused, match="not believed"):
        rooms.motions.suspend("south.example", "security", None)


def test_a_text_that_is_carried_is_not_signed_again(world: World) -> None:
    """There is nothing left to add."""
    rooms = world.joined()
    (carried,) = rooms.motions.all()

    with pytest.raises(NotReady, match="carried"):
        rooms.motions.sign(carried, None, None)


def test_an_own_admission_with_foreign_keys_is_not_signed(world: World) -> None:
    """Another hospital asks for us, with keys of its own making: we would admit a stranger."""
    rooms = world.joined(founded=False)
    two = ("south.example", "west.example")
    rows = [{"name": name, **public_of(name), "country": "SE"} for name in two]
    quorum = {"k": 1, "witnesses": list(two)}
    world.hub.try_motion(world.hub.found(*two, members=rows, quorum=quorum, signatures_required=2))
    rooms.look_at_consortium()
    public = {role: str(vkey) for role, vkey in world.hub.members["north.example"].items()}
    foreign = str(key("north.example/node", seed="impostor").verifier)
    text = write_event(
        "member.admitted",
        {"site": "north.example", "country": "SE", **public, "node": foreign},
        time=world.time.text(),
        actor="north.example/institution",
        log=rooms.agreement_id(),
        nonce="aa" * 16,
        kinds=family_of(CONSORTIUM).kinds,
    )
    motion = rooms.motions.find(world.hub.lay(CONSORTIUM, text))

    with pytest.raises(Refused, match="do not sign"):
        rooms.motions.sign(motion, None, None)


def test_an_amendment_below_the_own_floor_is_not_signed(world: World) -> None:
    """A change of the charter meets the same questions as the charter itself."""
    rooms = world.joined()
    world.launched(rooms)
    state = rooms.mirror.state(STUDY)
    text = write_event(
        "charter.amended",
        {"charter": state.charter.plain() | {"min_cell": 2}, "previous": state.version_id},
        time=world.time.text(),
        actor=world.hub.researcher.name,
        log=state.charter_id,
        nonce="bb" * 16,
    )
    motion = rooms.motions.find(world.hub.lay(STUDY, text))

    with pytest.raises(Refused) as caught:
        rooms.motions.sign(motion, None, None)

    assert caught.value.rule == "site.floor"
    page = motion_lines(motion, rooms.motions.in_force(motion))
    assert "  min_cell: 5  ->  2" in page
