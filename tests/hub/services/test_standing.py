"""Who belongs is decided by the members' log; what the hub's tables say is only an index."""

from __future__ import annotations

import pytest

from compliance.errors import NotReady, Refused
from compliance.ledger.cosign import cosign
from compliance.signing.keys import SigningKey
from compliance.signing.note import parse
from compliance.signing.request import authorization, parse_authorization
from hub.services.standing import WAITING
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back, key_of

EAST, NORTH, SOUTH = NAMES
WEST = "west.example"
LOG = "consortium"
PATH = "/api/v1/studies"


@pytest.fixture
def founded(house: House) -> House:
    """Three members."""
    house.join(*NAMES)
    return house


def ask(house: House, site: str, key: SigningKey | None = None) -> str:
    """A hospital's signed request; returns who the hub takes it for."""
    nonce = make.sha(f"{site} {house.time()} {key}")[7:39]
    signer = key or key_of(f"{site}/node")
    told = authorization(signer, site, "GET", PATH, b"", house.time.text(), nonce)
    return house.rooms.members.admit(parse_authorization(told), "GET", PATH, b"")


def test_a_suspended_hospital_is_refused_at_its_next_request(founded):
    """Requests and Flower node both, from the entry on; nobody edits a table for it."""
    assert ask(founded, EAST) == EAST

    founded.suspend(EAST)

    with pytest.raises(Refused, match="suspended this hospital"):
        ask(founded, EAST)
    assert set(founded.rooms.members.flower_keys()) == {NORTH, SOUTH}


def test_a_hospital_that_left_is_refused_too(founded):
    """Its own node's word is enough, and nobody else's."""
    body = {"site": EAST, "reason": "own_wish"}
    foreign = founded.note("member.left", body, f"{NORTH}/node", log=founded.agreement_id)
    with pytest.raises(Refused):
        founded.rooms.ledger.submit(LOG, foreign)

    note = founded.note("member.left", body, f"{EAST}/node", log=founded.agreement_id)
    founded.rooms.ledger.submit(LOG, note)

    with pytest.raises(Refused):
        ask(founded, EAST)
    assert EAST not in founded.rooms.members.flower_keys()


def test_a_suspended_hospital_is_asked_in_no_round(house):
    """The next round leaves it out by name; the study goes on with the others."""
    house.launched()
    house.suspend(EAST)
    lease = house.rooms.rounds.begin(house.study)

    house.rooms.rounds.open(lease)

    assert house.rooms.ledger.state(house.study).running.sites == [NORTH, SOUTH]


def test_a_suspended_hospital_comes_back_when_the_others_admit_it(founded):
    """With the keys it had; its requests are answered again at once."""
    founded.suspend(EAST)

    founded.motion("member.admitted", make.admission(EAST), EAST)
    motion = founded.rooms.motions.all()[0]
    founded.sign_motion(motion["id"], NORTH, SOUTH)

    assert ask(founded, EAST) == EAST
    assert EAST in founded.rooms.members.flower_keys()


def test_an_administrator_cannot_let_a_suspended_hospital_in(founded):
    """Neither by the service nor in the table: the log has the word."""
    founded.suspend(EAST)
    founded.rooms.members.suspend(EAST, suspended=False)
    change = "UPDATE member SET suspended = false"
    behind_the_hubs_back(founded.rooms.database, change)

    with pytest.raises(Refused):
        ask(founded, EAST)


def test_an_administrators_brake_is_no_suspension(founded):
    """The hub serves it no more, which the list says; the log and its membership stay."""
    founded.rooms.members.suspend(EAST)

    with pytest.raises(Refused):
        ask(founded, EAST)
    rows = {row["name"]: row["standing"] for row in founded.rooms.members.members()}
    assert rows == {EAST: "shut_out", NORTH: "active", SOUTH: "active"}
    assert EAST in founded.rooms.ledger.consortium().active_members()


def test_a_hospital_that_waits_is_served_as_one_that_waits(founded):
    """It may sign requests, has no Flower node, and stands in no charter."""
    founded.rooms.members.join(founded.application(WEST, founded.token(WEST)))

    assert ask(founded, WEST) == WEST
    assert founded.rooms.members.standing_of(WEST) == WAITING
    assert WEST not in founded.rooms.members.flower_keys()
    rows = {row["name"]: row["standing"] for row in founded.rooms.members.members()}
    assert rows[WEST] == "waiting"


def rotate(house: House, role: str, generation: int = 1) -> SigningKey:
    """East's institution gives its machine another key."""
    name = f"{EAST}/{role}"
    new = make.key(name, key_of(name).verifier.kind, generation)
    body = {"name": name, "vkey": str(new.verifier), "reason": "stolen"}
    note = house.note("key.rotated", body, f"{EAST}/institution", log=house.agreement_id)
    house.rooms.ledger.submit(LOG, note)
    return new


def test_a_stolen_node_key_is_worth_nothing_after_its_rotation(founded):
    """The thief's requests are refused from that entry on, the new key's are answered."""
    new = rotate(founded, "node")

    with pytest.raises(Refused, match="signature"):
        ask(founded, EAST)
    assert ask(founded, EAST, new) == EAST


def test_a_draft_takes_the_keys_in_force(founded):
    """A charter with yesterday's key would be refused by every hospital."""
    new = rotate(founded, "node")

    founded.propose()

    body = founded.rooms.charters.get(founded.charter_id)["body"]
    assert body["sites"][0]["node"] == str(new.verifier)


def test_a_charter_with_a_key_that_was_replaced_is_not_launched(founded):
    """Between the draft and the launch a key was stolen: the launch says which hospital."""
    founded.propose()
    founded.sign(*NAMES)
    rotate(founded, "node")

    with pytest.raises(Refused) as refusal:
        founded.rooms.charters.launch(founded.charter_id)

    assert refusal.value.rule == "charter.members"


def test_a_witness_cosigns_with_its_new_key_after_the_rotation(founded):
    """The old key still holds for the sizes before it, the new one from there on."""
    new = rotate(founded, "witness")
    ledger, now = founded.rooms.ledger, int(founded.time().timestamp())
    text = parse(ledger.checkpoint(LOG, latest=True)).text
    with pytest.raises(Refused):
        ledger.cosign(LOG, EAST, cosign(text, key_of_witness(), now))

    ledger.cosign(LOG, EAST, cosign(text, new, now))
    founded.witness(NORTH, log=LOG)

    assert ledger.checkpoint(LOG).startswith(text)
    assert str(new.verifier) in ledger.policy(LOG)


def key_of_witness() -> SigningKey:
    """East's first witness key."""
    return key_of(f"{EAST}/witness")


@pytest.mark.parametrize("log", [LOG, "study"])
def test_a_new_log_key_signs_the_checkpoint_that_contains_it(house, log):
    """From the rotation on; a hub that starts again finds both keys and the history sound."""
    house.launched()
    log = house.study if log == "study" else log
    ledger, keys = house.rooms.ledger, house.rooms.keys
    old = keys.log(log)
    new = keys.new_log_key(log)
    body = {"name": old.name, "vkey": str(new.verifier), "reason": "planned"}

    ledger.say(log, "key.rotated", body)

    lines = ledger.checkpoint(log, latest=True).decode().split("\n\n")[1]
    assert lines.startswith(new.line(b"x\n").rsplit(" ", 1)[0])
    again = house.again()
    again.ready()
    assert str(new.verifier) in again.ledger.policy(log)
    house.witness(*NAMES, log=log)
    assert ledger.checkpoint(log)


def test_a_hub_without_the_new_log_key_says_which_file_is_missing(house):
    """A backup without it is no backup."""
    house.join(*NAMES)
    keys = house.rooms.keys
    new = keys.new_log_key(LOG)
    body = {"name": new.name, "vkey": str(new.verifier), "reason": "planned"}
    for path in (house.home / "keys").glob(f"{LOG}-*.key"):
        path.unlink()

    with pytest.raises(NotReady):
        house.rooms.ledger.say(LOG, "key.rotated", body)

    assert house.rooms.ledger.events(LOG, "key.rotated") == []
