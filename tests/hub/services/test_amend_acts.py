"""A researcher lays other terms before the hospitals: of the own study, and decides nothing."""

from __future__ import annotations

import base64

import pytest

from compliance.errors import Malformed, Refused
from hub.services.accounts import Person
from tests.hub.house import NAMES, House


@pytest.fixture
def lead(house: House) -> Person:
    """A researcher whose study runs, signed with the key that the hub keeps."""
    house.join(*NAMES)
    _, person = house.person("lead", "researcher")
    propose = house.rooms.acts["charter.propose"].do
    told = propose(person, "a study", {"draft": house.draft()})
    house.study, house.charter_id = told["study"], told["charter_id"]
    house.text = base64.b64decode(told["text_base64"])
    house.sign(*NAMES)
    house.rooms.charters.launch(house.charter_id)
    return person


def test_other_terms_wait_for_the_hospitals(house: House, lead: Person) -> None:
    """In force with the signatures that the charter asks for, not with the researcher's."""
    told = house.rooms.acts["charter.amend"].do(lead, house.study, {"changes": {"max_rounds": 3}})
    before = house.rooms.ledger.state(house.study).charter.max_rounds

    done = house.sign_motion(told["id"], *NAMES[:2])

    assert (told["state"], before, done["state"]) == ("open", 10, "carried")
    assert house.rooms.ledger.state(house.study).charter.max_rounds == 3


def test_nobody_amends_anothers_study(house: House, lead: Person) -> None:
    """The charter names its researcher's key; another one's counts for nothing."""
    _, other = house.person("other", "researcher")
    act = house.rooms.acts["charter.amend"].do

    with pytest.raises(Refused) as refusal:
        act(other, house.study, {"changes": {"max_rounds": 3}})

    assert refusal.value.rule in ("event.signer", "authority")
    assert [row for row in house.rooms.motions.all() if row["log"] == house.study] == []
    with pytest.raises(Malformed):
        act(lead, house.study, {})
