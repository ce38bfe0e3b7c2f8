"""The door asks for the protocol: the newest two are served, the others told who upgrades what."""

from __future__ import annotations

import pytest

from compliance.protocol import HEADER, OLDEST, PROTOCOL
from hub.main import PREFIX
from tests.hub.house import House

NORTH, SOUTH = "north.example", "south.example"


@pytest.fixture
def joined(house: House) -> House:
    """Two hospitals."""
    house.join(NORTH, SOUTH)
    return house


def numbered(house: House, number: str, site: str = NORTH) -> dict[str, str]:
    """Headers of a signed question from a site that speaks this protocol."""
    return house.signed(site, "GET", f"{PREFIX}/studies") | {HEADER: number}


@pytest.mark.parametrize("number", [OLDEST, PROTOCOL])
def test_a_site_of_the_release_before_is_served(http, joined, number):
    """N-1 works with N, and the answer says what the hub speaks."""
    answer = http.get(f"{PREFIX}/studies", headers=numbered(joined, str(number)))

    assert answer.status_code == 200
    assert answer.headers[HEADER] == str(PROTOCOL)


def test_a_site_that_sends_no_number_is_one_of_the_release_before(http, joined):
    """The first releases sent none."""
    headers = joined.signed(NORTH, "GET", f"{PREFIX}/studies")

    assert http.get(f"{PREFIX}/studies", headers=headers).status_code == 200


@pytest.mark.parametrize("number", [OLDEST - 1, PROTOCOL + 1])
def test_older_and_newer_sites_are_refused_by_name_and_shown(http, joined, number):
    """426, the rule, who upgrades what; the hub's people see which hospital it is."""
    joined.time.forward(seconds=61)

    answer = http.get(f"{PREFIX}/studies", headers=numbered(joined, str(number)))

    assert answer.status_code == 426
    assert answer.json()["error"]["rule"] == "request.protocol"
    assert "upgrade" in answer.json()["error"]["sentence"]
    assert answer.headers[HEADER] == str(PROTOCOL)
    row = next(row for row in joined.rooms.members.members() if row["name"] == NORTH)
    assert row["health"]["warning"] == "update_required"


def test_joining_asks_for_the_protocol_too_and_health_does_not(http, house):
    """A hospital hears of the mismatch before it uses up its invitation."""
    headers = {HEADER: str(PROTOCOL + 1)}

    assert http.post(f"{PREFIX}/join", json={}, headers=headers).status_code == 426
    for path in ("healthz", "readyz"):
        assert http.get(f"{PREFIX}/{path}", headers=headers).status_code == 200


def test_a_number_that_is_none_is_malformed(http, house):
    """400, as any other header of another form."""
    answer = http.get(f"{PREFIX}/studies", headers={HEADER: "two"})

    assert answer.status_code == 400
