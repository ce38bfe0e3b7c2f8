"""Texts that several hospitals sign: read from their own bytes, signed by people, at home."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from pathlib import Path

import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotReady, Refused
from compliance.records.envelope import write_event
from compliance.records.kinds import CONSORTIUM
from compliance.signing.keys import SigningKey
from hub.services.consortium import Terms
from site_node.gate.hub_client import HubClient
from site_node.gate.invitation import read_code
from site_node.gate.joining import Applicant, Connections, join
from site_node.gate.motion_page import list_lines, motion_lines
from site_node.gate.motions import Motion, read_motion
from site_node.wiring import Rooms
from tests.house import House

THREE = ("north.example", "south.example", "west.example")


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A real hub and three hospitals that have signed their agreement."""
    return House(tmp_path, capsys, THREE)


def newcomer(house: House, folder: Path, name: str = "lake.example") -> Rooms:
    """A hospital that joins a founded consortium and asks to be admitted."""
    code, _ = house.hub.members.invite(name, "Lake")
    ca = house.hub.ca_path.read_bytes()
    connections = Connections(lambda _: ca, lambda *_: contextlib.nullcontext(house.http))
    source = (hashlib.sha512(f"{name}{n}".encode()).digest() for n in range(10_000))
    home = folder / name
    join(
        home,
        read_code(code),
        Applicant(None, None, lambda count: next(source)[:count], "SE"),
        connections,
        house.record,
    )
    rooms = house.rooms_of(home, name, source)
    rooms.look_at_consortium()
    rooms.motions.ask_admission("SE", None)
    return rooms


def test_an_agreement_begins_with_the_last_signature_and_every_hospital_has_it(
    house: House,
) -> None:
    """Each mirror tells the same agreement, and it is the text that was signed there."""
    agreement = house.hub.ledger.agreement_id()

    assert {rooms.agreement_id() for rooms in house.sites.values()} == {agreement}
    first = house.sites["north.example"].motions.all()[0]
    assert (first.motion, first.state) == (agreement, "carried")
    assert "one hospital may be down" in "\n".join(motion_lines(first))


def test_what_is_signed_is_the_text_that_was_shown(house: House, tmp_path: Path) -> None:
    """A hub that exchanges the bytes under an id is refused before anything is signed."""
    newcomer(house, tmp_path)
    (told,) = [row for row in house.hub.motions.all() if row["state"] == "open"]
    text = base64.b64decode(told["text_base64"]).replace(b'"SE"', b'"NO"')
    told["text_base64"] = base64.b64encode(text).decode()

    with pytest.raises(Refused, match="do not sign"):
        read_motion(told)


def test_a_signature_that_the_hub_did_not_listen_to_is_kept(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's clock was wrong while it was signed: handed over when it is right again."""
    newcomer(house, tmp_path)
    north = house.sites["north.example"].motions
    (asked,) = [motion for motion in north.all() if motion.state == "open"]

    def late(*_told: object) -> None:
        raise Refused("request.time", sentence="The request is old.")

    with monkeypatch.context() as patch:
        patch.setattr(HubClient, "sign_motion", late)
        with pytest.raises(Refused, match="old"):
            north.sign(asked, None, None)
    north.keep_word()

    (after,) = [motion for motion in north.all() if motion.motion == asked.motion]
    assert "north.example" in " ".join(after.signed)


def test_other_typed_characters_sign_nothing(house: House, tmp_path: Path) -> None:
    """The person types the first characters of the id; others stop the act."""
    newcomer(house, tmp_path)
    north = house.sites["north.example"].motions
    waiting = north.admission("lake.example")

    with pytest.raises(Refused, match="nothing signed"):
        north.sign(waiting, None, "00000000")

    assert north.admission("lake.example").signed == ["lake.example/institution"]


def test_an_agreement_with_foreign_keys_is_not_signed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A hub that names its own keys for a hospital gets no signature of that hospital."""
    house = House(tmp_path, capsys, THREE, founded=False)
    body = house.hub.consortium.body(Terms(title="A trap"))
    mine = next(row for row in body["members"] if row["name"] == "north.example")
    mine["institution"] = str(
        SigningKey("north.example/institution", 1, bytes(31) + b"\x07").verifier
    )
    text = write_event("agreement", body, time=house.time.text(), kinds=CONSORTIUM)
    house.hub.motions.lay("consortium", text)
    north = house.sites["north.example"].motions

    with pytest.raises(Refused):
        north.sign(north.find(sha256_id(text)), None, None)

    assert house.hub.motions.all()[0]["signatures"] == []


def test_a_hospital_is_admitted_by_most_members_and_not_by_itself(
    house: House, tmp_path: Path
) -> None:
    """One signature waits, the second carries; the new hospital sees itself in its own mirror."""
    lake = newcomer(house, tmp_path)
    before = lake.mirror.consortium()
    assert before is not None
    assert "lake.example" not in before.members

    sites = list(house.sites.values())
    first = sites[0].motions.sign(sites[0].motions.admission("lake.example"), None, None)
    second = sites[1].motions.sign(sites[1].motions.admission("lake.example"), None, None)

    assert (first["state"], second["state"]) == ("open", "carried")
    lake.look_at_consortium()
    after = lake.mirror.consortium()
    assert after is not None
    assert after.active_members() == ["lake.example", *THREE]
    assert not lake.mirror.alarms()
    with pytest.raises(NotReady, match="does not ask"):
        sites[2].motions.admission("lake.example")


def test_a_suspended_hospital_is_refused_at_its_next_request(house: House) -> None:
    """Two others suspend it: the hub serves it no more, every mirror says so."""
    north, south, west = house.sites.values()
    north.motions.suspend("west.example", "security", None)
    (waiting,) = open_ones(south)

    south.motions.sign(waiting, None, None)

    with pytest.raises(Refused):
        west.hub.studies()
    north.look_at_consortium()
    state = north.mirror.consortium()
    assert state is not None
    assert state.active_members() == ["north.example", "south.example"]
    assert not north.mirror.alarms()


def test_a_suspended_hospital_asks_to_come_back_and_does_nothing_else(house: House) -> None:
    """It sees its own request and no other text; the others sign, and it is served again."""
    north, south, west = house.sites.values()
    north.motions.suspend("west.example", "inactive", None)
    south.motions.sign(open_ones(south)[0], None, None)
    north.motions.suspend("south.example", "inactive", None)
    west.look_at_consortium()

    assert west.motions.ask_admission("NO", None)["state"] == "open"

    assert [row.event.type for row in west.motions.all()] == ["member.admitted"]
    with pytest.raises(Refused, match="suspended this hospital"):
        west.hub.studies()
    (theirs,) = [row for row in open_ones(north) if row.event.type == "member.suspended"]
    key = west.keys.institution(None)
    with pytest.raises(Refused, match="own admission"):
        west.hub.propose_motion("consortium", theirs.text, key.line(theirs.text))
    with pytest.raises(Refused, match="suspended this hospital"):
        west.hub.sign_motion(theirs.motion, key.line(theirs.text))
    for rooms in (north, south):
        rooms.look_at_consortium()
        rooms.motions.sign(rooms.motions.admission("west.example"), None, None)
    assert isinstance(west.hub.studies(), list)
    state = house.hub.ledger.founded()
    assert state is not None
    assert "west.example" in state.active_members()


def test_a_hospital_that_the_administrator_shut_out_asks_nothing(house: House) -> None:
    """The brake is no word of the members: there is nothing for them to take back."""
    west = house.sites["west.example"]
    house.hub.members.suspend("west.example")

    with pytest.raises(Refused, match="administrator"):
        west.motions.ask_admission("NO", None)


def test_a_stopped_study_goes_on_when_all_signed_and_not_before(house: House) -> None:
    """One hospital stops; each must agree to go on, by its own key."""
    study = house.launch()
    house.hub.ledger.say(study, "study.stopped", {"reason": "safety", "on_behalf": None})
    house.time.forward(seconds=6)
    house.look()
    sites = list(house.sites.values())

    told = [rooms.motions.resume(study, None) for rooms in sites[:2]]
    assert [row["state"] for row in told] == ["open", "open"]
    assert house.hub.ledger.state(study).stopped is not None
    last = sites[2].motions.resume(study, None)

    assert last["state"] == "carried"
    assert house.hub.ledger.state(study).stopped is None
    house.time.forward(seconds=6)
    assert "alarm" not in house.look()


def test_a_study_that_is_not_stopped_is_not_resumed(house: House) -> None:
    """There is nothing to lift, and nothing is proposed."""
    study = house.launch()

    with pytest.raises(NotReady, match="not stopped"):
        house.sites["north.example"].motions.resume(study, None)

    assert open_ones(house.sites["north.example"]) == []


def test_the_list_shows_what_waits_first(house: House, tmp_path: Path) -> None:
    """An open text stands above the carried agreement; an empty list says so."""
    newcomer(house, tmp_path)

    lines = list_lines(house.sites["north.example"].motions.all())

    assert "member.admitted" in lines[0]
    assert "lake.example" in lines[0]
    assert "carried" in lines[-1]
    assert list_lines([]) == ["No text waits for signatures."]


def open_ones(rooms: Rooms) -> list[Motion]:
    """The texts that wait."""
    return [row for row in rooms.motions.all() if row.state == "open"]
