"""What somebody must know of a hospital is shown within 60 s; the clock is moved, nothing waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from compliance.errors import Refused
from compliance.protocol import OLDEST, PROTOCOL
from compliance.signing.keys import SigningKey
from compliance.signing.request import parse_authorization
from hub.main import PREFIX
from hub.services.health import Knock, state_of, warning_of
from tests.hub.house import House

NORTH, SOUTH = "north.example", "south.example"
NOW = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
FRESH = {"protocol": PROTOCOL}


def told(house: House, site: str = NORTH) -> tuple[str, str]:
    """State and warning of a hospital as everybody who is signed in is told."""
    row = next(row for row in house.rooms.members.members() if row["name"] == site)
    return row["health"]["state"], row["health"]["warning"]


def knock(house: House, key: SigningKey) -> None:
    """A request in north's name that is refused."""
    header = house.signed(NORTH, "GET", f"{PREFIX}/studies", key=key)["Authorization"]
    with pytest.raises(Refused):
        house.rooms.members.admit(parse_authorization(header), "GET", f"{PREFIX}/studies", b"")


def beat(house: House, site: str = NORTH, **states: object) -> None:
    """A sign of life."""
    house.rooms.members.heartbeat(site, {"states": states, "versions": FRESH})


@pytest.fixture
def joined(house: House) -> House:
    """Two hospitals that are up."""
    house.join(NORTH, SOUTH)
    beat(house)
    return house


def test_a_silent_agent_is_seen_after_sixty_seconds(joined):
    """Up at 60, silent at 61; one sign of life and it is up again."""
    joined.time.forward(seconds=60)
    assert told(joined) == ("up", "")
    joined.time.forward(seconds=1)
    assert told(joined) == ("silent", "")

    beat(joined)

    assert told(joined) == ("up", "")


@pytest.mark.parametrize(
    ("codes", "warning"),
    [
        ({"hub": "good"}, ""),
        ({"hub": "ends_soon"}, "certificate_soon"),
        ({"hub": "good", "receiver": "ended"}, "certificate_ended"),
        ({"hub": "ends_soon", "receiver": "unreadable"}, "certificate_ended"),
        ({"hub": "early"}, "certificate_ended"),
        ("a string", ""),
        (None, ""),
    ],
)
def test_a_stale_certificate_is_seen_with_the_next_sign_of_life(joined, codes, warning):
    """Signs of life come every 15 s; the hospital is up and the warning stands beside it."""
    joined.time.forward(seconds=15)

    beat(joined, certificates=codes)

    assert told(joined) == ("up", warning)


def test_a_key_that_is_not_in_force_explains_the_silence(joined):
    """Rotated, or stolen: the hub says which hospital, a minute after its last word."""
    other = SigningKey(f"{NORTH}/node", 1, bytes(range(32)))
    joined.time.forward(seconds=61)
    knock(joined, other)

    assert told(joined) == ("silent", "key_refused")


def test_whoever_knocks_in_its_name_says_nothing_about_a_hospital_that_speaks(joined):
    """A stranger without the key cannot make a living hospital look ill."""
    other = SigningKey(f"{NORTH}/node", 1, bytes(range(32)))
    knock(joined, other)

    assert told(joined) == ("up", "")


def test_a_name_that_nobody_has_is_not_remembered(joined):
    """Knocks are kept for members only: a stranger fills no memory."""
    joined.rooms.members.knocked("ghost.example", "request.site")

    assert joined.rooms.members._knocks == {}


@pytest.mark.parametrize(
    ("rule", "warning"),
    [
        ("request.signature", "key_refused"),
        ("request.time", "clock_refused"),
        ("request.protocol", "update_required"),
        ("request.replay", ""),
    ],
)
def test_why_nothing_is_heard_is_said_for_ten_minutes(rule, warning):
    """Then the last knock is too old to explain anything."""
    for minutes, found in ((10, warning), (11, "")):
        knock = Knock(rule, NOW - timedelta(minutes=minutes))
        assert warning_of("silent", {}, NOW, knock) == found
    assert warning_of("silent", {}, NOW, None) == ""


def test_a_shut_out_hospital_is_suspended_whatever_it_says():
    """Nothing stands beside that word."""
    assert state_of(NOW.isoformat(), NOW, shut=True) == "suspended"
    assert warning_of("suspended", {"states": {"resting": 2}}, NOW, None) == ""
    assert state_of(None, NOW, shut=False) == "silent"


def test_a_restored_hospital_and_an_older_release_are_named():
    """Logs that rest come first: until then it cosigns nothing."""
    restored = {"states": {"resting": 1}, "versions": FRESH}

    assert warning_of("up", restored, NOW, None) == "restored"
    assert warning_of("up", {"versions": {"protocol": OLDEST}}, NOW, None) == "update_available"
    assert warning_of("up", {}, NOW, None) == "update_available"
    assert warning_of("up", {"states": {"resting": "many"}, "versions": FRESH}, NOW, None) == ""
