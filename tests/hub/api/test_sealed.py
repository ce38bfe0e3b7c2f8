"""Sealed details over HTTP: opened by few, handed in and erased by their author alone."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from compliance.records.envelope import write_event
from compliance.records.sealed import commitment
from compliance.signing.note import seal
from hub.main import PREFIX
from tests import factories as make
from tests.hub.api.test_access import bearer
from tests.hub.api.test_logs import call
from tests.hub.house import NAMES, House, key_of

EAST, NORTH, SOUTH = NAMES
SALT = bytes(range(16))
PAYLOAD = {"seen": "a case"}


@pytest.fixture
def sealed(house: House) -> str:
    """The path of a hospital's own entry that commits to a detail; one person of each role."""
    house.launched()
    for role in ("researcher", "auditor", "admin"):
        house.person(role, role)
    for site in (NORTH, SOUTH):
        house.person(f"steward-{site.split('.')[0]}", "steward", site)
    body = {"from": 0, "to": 1, "result": "opened_case", "on_behalf": None}
    text = write_event(
        "review.noted",
        body,
        actor=f"{NORTH}/node",
        log=house.charter_id,
        nonce="ab" * 16,
        time=house.time.text(),
        sealed=commitment(SALT, PAYLOAD),
    )
    house.rooms.ledger.append(house.study, seal(text, key_of(f"{NORTH}/node")))
    return f"/logs/{house.study}/sealed"


def detail(**changes: Any) -> bytes:
    """What an author hands in."""
    told = {"index": 1, "salt": SALT.hex(), "payload": PAYLOAD} | changes
    return json.dumps(told).encode()


def hand_in(http: httpx.Client, house: House, path: str) -> None:
    """The hospital hands in what its entry commits to."""
    assert call(http, house, NORTH, "POST", path, detail()).status_code == 200


def test_an_author_hands_in_the_detail_that_its_entry_commits_to(http, house, sealed):
    """Another hospital, another payload, another entry: refused, and nothing is kept."""
    other = call(http, house, SOUTH, "POST", sealed, detail())
    wrong = call(http, house, NORTH, "POST", sealed, detail(payload={"seen": "nothing"}))
    nowhere = call(http, house, NORTH, "POST", sealed, detail(index=0))
    fraction = call(http, house, NORTH, "POST", sealed, detail(payload={"share": 0.5}))
    researcher = http.post(
        PREFIX + sealed, content=detail(), headers=bearer(house, "researcher")
        | {"Content-Type": "application/json"},
    )  # fmt: skip

    codes = [answer.status_code for answer in (other, wrong, nowhere, fraction, researcher)]
    assert all(code >= 400 for code in codes), codes
    assert (other.status_code, researcher.status_code) == (403, 403)
    assert house.rooms.sealed.all(house.study)[0].state == "not here"
    hand_in(http, house, sealed)
    assert house.rooms.sealed.open(house.study, 1)["payload"] == PAYLOAD


def test_a_detail_is_opened_by_those_whom_it_concerns(http, house, sealed):
    """Auditors, the hospital that said it and its steward; not the administrator, nor others."""
    hand_in(http, house, sealed)
    path = f"{sealed}/1"
    codes = {
        name: http.get(PREFIX + path, headers=bearer(house, name)).status_code
        for name in ("auditor", "steward-north", "steward-south", "admin", "researcher")
    }

    assert codes == {"auditor": 200, "steward-north": 200, "steward-south": 403,
                     "admin": 403, "researcher": 403}  # fmt: skip
    told = call(http, house, NORTH, "GET", path).json()
    assert (told["payload"], told["salt"]) == (PAYLOAD, SALT.hex())
    assert call(http, house, SOUTH, "GET", path).status_code == 403


def test_the_studys_own_researcher_opens_a_detail(http, house, sealed):
    """The one whose key the charter names, and no other researcher."""
    hand_in(http, house, sealed)
    house.person("lead", "researcher")
    lead = bearer(house, "lead")
    vkey = str(key_of(make.RESEARCHER).verifier)
    token = lead["Authorization"].removeprefix("Bearer ")
    house.rooms.accounts.set_key(house.rooms.accounts.person(token), vkey)

    answer = http.get(f"{PREFIX}{sealed}/1", headers=lead)

    assert answer.json()["payload"] == PAYLOAD


def test_everybody_of_the_study_sees_that_something_is_sealed(http, house, sealed):
    """The list tells commitment and state, never a salt or a payload."""
    hand_in(http, house, sealed)

    (row,) = call(http, house, SOUTH, "GET", sealed).json()

    assert row == {
        "index": 1, "type": "review.noted", "actor": f"{NORTH}/node", "time": house.time.text(),
        "commitment": commitment(SALT, PAYLOAD), "state": "kept", "erased_at": None,
    }  # fmt: skip


def test_an_author_has_the_own_detail_erased_and_nobody_elses(http, house, sealed):
    """The right is the author's; afterwards the page says when it was erased."""
    hand_in(http, house, sealed)
    path = f"{sealed}/1"
    assert call(http, house, SOUTH, "DELETE", path).status_code == 403
    assert http.delete(PREFIX + path, headers=bearer(house, "researcher")).status_code == 403

    told = call(http, house, NORTH, "DELETE", path).json()

    assert (told["state"], told["erased_at"]) == ("erased", house.time.text())
    gone = http.get(PREFIX + path, headers=bearer(house, "auditor"))
    assert gone.status_code == 409
    assert "was erased" in gone.text
    assert call(http, house, NORTH, "POST", sealed, detail()).status_code == 403


def test_a_hospital_outside_the_study_sees_nothing(http, house, sealed):
    """A member that the charter does not name reads neither list nor detail."""
    hand_in(http, house, sealed)
    house.join("west.example")

    for path in (sealed, f"{sealed}/1"):
        assert call(http, house, "west.example", "GET", path).status_code == 403


def test_retention_is_for_administrators_and_auditors(http, house, sealed):
    """Each sees until when the records are kept and which case holds them."""
    for role in ("admin", "auditor"):
        (row,) = http.get(f"{PREFIX}/retention", headers=bearer(house, role)).json()
        assert (row["state"], row["legal_holds"]) == ("kept", [1])
    assert http.get(f"{PREFIX}/retention", headers=bearer(house, "researcher")).status_code == 403
