"""Hospitals come in with an invitation and their own keys, and speak by signed requests."""

from __future__ import annotations

import pytest

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.signing.keys import COSIGNATURE, SigningKey
from compliance.signing.request import SiteRequest, parse_authorization
from tests import factories as make
from tests.hub.house import House, key_of, read_code, rows_of

NORTH, SOUTH = "north.example", "south.example"
PATH = "/api/v1/studies"


@pytest.fixture
def members(house: House):
    """The members of a new hub."""
    return house.rooms.members


def names(members) -> list[str]:
    """Hospitals that have joined."""
    return [row["name"] for row in members.members() if row["member_since"]]


def test_a_hospital_joins_with_its_invitation_and_its_own_keys(members, house):
    """The hub learns public keys only and tells address, signers and consortium."""
    told = members.join(house.application(NORTH, house.token(NORTH)))

    assert names(members) == [NORTH]
    assert told["events_vkey"] == str(house.rooms.keys.events.verifier)
    assert told["bundle_sha256"] == make.sha("bundle")


def test_an_invitation_lets_one_hospital_in_once(members, house):
    """The same code again, by the same or by another, is told that it was used."""
    application = house.application(NORTH, house.token(NORTH))
    members.join(application)

    with pytest.raises(Refused) as refusal:
        members.join(application)

    assert refusal.value.rule == "join.used"
    assert names(members) == [NORTH]


def test_a_wrong_or_expired_invitation_lets_nobody_in(members, house):
    """Guessing finds nothing, and after three days the code is worth nothing."""
    token = house.token(NORTH)
    with pytest.raises(Refused) as guess:
        members.join(house.application(NORTH, token[:-1]))
    house.time.forward(hours=72)
    with pytest.raises(Refused) as late:
        members.join(house.application(NORTH, token))

    assert (guess.value.rule, late.value.rule) == ("join.code", "join.expired")
    assert names(members) == []


def test_an_invitation_is_for_the_hospital_that_it_names(members, house):
    """Another name's keys are refused; the invitation stays good for the right one."""
    token = house.token(NORTH)
    with pytest.raises(Refused):
        members.join(house.application(SOUTH, token))

    members.join(house.application(NORTH, token))

    assert names(members) == [NORTH]


@pytest.mark.parametrize(
    "change",
    [
        {"proof": []},
        {"proof": 5},
        {"proof": None},
        {"proof": ["nonsense"]},
        {"institution": make.vkey(f"{NORTH}/institution", generation=1)},
        {"node": make.vkey(f"{NORTH}/node", generation=1)},
        {"node": make.vkey(f"{NORTH}/institution")},
        {"witness": make.vkey(f"{NORTH}/witness")},
        {"witness": "nonsense"},
        {"flower_public": "ssh-rsa AAAA"},
        {"flower_public": ""},
    ],
)
def test_keys_that_are_not_proven_let_nobody_in(members, house, change):
    """A public key without its private half, of another role or type, is refused."""
    with pytest.raises(ConsiliumError):
        members.join(house.application(NORTH, house.token(NORTH), **change))

    assert names(members) == []


def test_no_hospital_takes_another_ones_keys(members, house):
    """Two hospitals with one Flower key or one witness key could pass for each other."""
    members.join(house.application(NORTH, house.token(NORTH)))
    copy = SigningKey(f"{SOUTH}/witness", COSIGNATURE, key_of(f"{NORTH}/witness").seed)
    for change in (
        {"flower_public": f"ecdsa-sha2-nistp384 {NORTH} a comment"},
        {"witness": str(copy.verifier)},
    ):
        with pytest.raises(Refused, match="another hospital"):
            members.join(house.application(SOUTH, house.token(SOUTH), **change))

    assert names(members) == [NORTH]


@pytest.mark.parametrize(
    "name",
    ["north", "North.example", "north example", "a/b.example", "", "nörd.example", "x" * 120],
)
def test_a_hospital_is_invited_under_a_name_that_keys_can_carry(members, house, name):
    """One sentence, and no invitation is kept."""
    with pytest.raises(NotReady, match="no site name"):
        members.invite(name, "")

    assert rows_of(house.rooms.database, "invitation") == []


def test_a_member_is_not_invited_again(members, house):
    """Its name is taken."""
    members.join(house.application(NORTH, house.token(NORTH)))

    with pytest.raises(NotReady, match="member already"):
        members.invite(NORTH, "")


def test_an_invitations_secret_is_kept_as_a_hash(members, house):
    """Whoever reads the table cannot join."""
    code, _ = members.invite(NORTH, "North")

    assert read_code(code)["token"] not in str(rows_of(house.rooms.database, "invitation"))


# ------------------------------------------------------------------------------- signed requests


def request(house: House, body: bytes = b"", path: str = PATH) -> SiteRequest:
    """A request of north, signed now."""
    return parse_authorization(house.signed(NORTH, "GET", path, body)["Authorization"])


@pytest.fixture
def joined(house: House) -> House:
    """North is a member."""
    house.join(NORTH)
    return house


def test_a_signed_request_is_answered_once(joined):
    """Whoever recorded it cannot send it again."""
    told = request(joined)
    assert joined.rooms.members.admit(told, "GET", PATH, b"") == NORTH

    with pytest.raises(Refused) as refusal:
        joined.rooms.members.admit(told, "GET", PATH, b"")

    assert refusal.value.rule == "request.replay"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("POST", PATH, b""), ("GET", PATH + "?x=1", b""), ("GET", PATH, b"x")],
)
def test_a_signature_is_good_for_one_request_only(joined, method, path, body):
    """Another method, address or body is another request; the right one is still good."""
    told = request(joined)
    with pytest.raises(Refused) as refusal:
        joined.rooms.members.admit(told, method, path, body)

    assert refusal.value.rule == "request.signature"
    assert joined.rooms.members.admit(told, "GET", PATH, b"") == NORTH


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_request_five_minutes_off_is_refused(joined, minutes):
    """The sentence speaks of the clock, so that the hospital can mend it."""
    told = request(joined)
    joined.time.forward(minutes=minutes)

    with pytest.raises(Refused, match="clock"):
        joined.rooms.members.admit(told, "GET", PATH, b"")


def test_a_replay_stays_refused_as_long_as_its_time_is_good(joined):
    """Old nonces are forgotten only when their requests are too old anyway."""
    joined.time.forward(minutes=4)
    told = request(joined)
    joined.time.forward(minutes=-4)
    joined.rooms.members.admit(told, "GET", PATH, b"")
    joined.time.forward(minutes=8)
    joined.rooms.members.admit(request(joined), "GET", PATH, b"")

    with pytest.raises(Refused) as refusal:
        joined.rooms.members.admit(told, "GET", PATH, b"")

    assert refusal.value.rule == "request.replay"


def test_a_stranger_and_a_suspended_hospital_are_not_admitted(joined):
    """A suspension bites at the next request, and is lifted as fast."""
    stranger = joined.signed(SOUTH, "GET", PATH)["Authorization"]
    with pytest.raises(Refused):
        joined.rooms.members.admit(parse_authorization(stranger), "GET", PATH, b"")

    joined.rooms.members.suspend(NORTH)
    with pytest.raises(Refused, match="does not serve"):
        joined.rooms.members.admit(request(joined), "GET", PATH, b"")
    assert joined.rooms.members.flower_keys() == {}
    joined.rooms.members.suspend(NORTH, suspended=False)

    assert joined.rooms.members.admit(request(joined), "GET", PATH, b"") == NORTH


def test_a_time_that_does_not_exist_is_malformed(joined):
    """A thirteenth month is bad data, not a defect of the hub."""
    told = request(joined)
    odd = SiteRequest(NORTH, "2026-13-41T00:00:00Z", told.nonce, told.signature)

    with pytest.raises(Malformed):
        joined.rooms.members.admit(odd, "GET", PATH, b"")


def test_a_sign_of_life_fades_after_a_minute(joined):
    """Silent is not down: the list says what the hub knows."""
    joined.rooms.members.heartbeat(NORTH, {"states": {"supernode": "up"}, "versions": {}})
    told = joined.rooms.members.members()[0]["health"]
    assert (told["state"], told["supernode"]) == ("up", "up")

    joined.time.forward(seconds=61)

    assert joined.rooms.members.members()[0]["health"]["state"] == "silent"


ALARM = {"log": "consortium", "rule": "checkpoint.proof", "at": "2026-11-22T08:59:00Z"}


def health(members, site: str = NORTH) -> dict:
    """What people are shown of a hospital's state."""
    return next(row["health"] for row in members.members() if row["name"] == site)


def test_an_alarm_is_kept_with_the_time_of_the_first_hearing(members, house):
    """However often it is told; another one has its own time, and one that ended is gone."""
    members.join(house.application(NORTH, house.token(NORTH)))
    first = house.time.text()
    members.heartbeat(NORTH, {"states": {"alarmed": [ALARM]}})
    house.time.forward(minutes=5)
    other = ALARM | {"log": "00112233445566aa"}
    members.heartbeat(NORTH, {"states": {"alarmed": [ALARM, other]}})

    told = health(members)["alarmed"]
    members.heartbeat(NORTH, {"states": {"alarmed": []}})

    assert told == [ALARM | {"heard": first}, other | {"heard": house.time.text()}]
    assert health(members)["alarmed"] == []


@pytest.mark.parametrize(
    "told",
    [
        {"states": 5},
        {"versions": ["0.1.0"]},
        {"states": {"alarmed": "all of them"}},
        {"states": {"alarmed": [ALARM | {"rule": "see *patient* 4711"}]}},
        {"states": {"alarmed": [ALARM | {"said": "a sentence can carry a patient"}]}},
        {"states": {"alarmed": [ALARM] * 41}},
    ],
)
def test_a_sign_of_life_of_another_form_is_refused_and_changes_nothing(members, house, told):
    """One hospital cannot break the page of all, nor bring a sentence onto it."""
    members.join(house.application(NORTH, house.token(NORTH)))
    members.heartbeat(NORTH, {"states": {"supernode": "up"}})

    with pytest.raises(Malformed):
        members.heartbeat(NORTH, told)

    assert health(members)["supernode"] == "up"


def test_a_hospital_does_not_say_itself_whether_it_is_silent(members, house):
    """The state is the hub's own finding."""
    members.join(house.application(NORTH, house.token(NORTH)))
    members.heartbeat(NORTH, {"states": {"state": "up"}})
    house.time.forward(minutes=10)

    assert health(members)["state"] == "silent"
