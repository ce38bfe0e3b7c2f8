"""A whole hub over either database: two processes, one log, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from compliance.errors import NotReady, Refused
from compliance.rules.fold import replay
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back
from tests.seams.test_storage import together

EAST, NORTH, SOUTH = NAMES
EACH = 8


@pytest.fixture
def house(tmp_path: Path, url: str) -> Iterator[House]:
    """A hub whose tables lie in this database."""
    made = House(tmp_path / "home", database_url=url)
    yield made
    made.close()


def review(house: House) -> bytes:
    """A statement that may be repeated without end: somebody looked through entry 0."""
    body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    return house.note("review.noted", body, make.EVENTS, by=house.rooms.keys.events)


def test_two_hubs_that_append_at_once_keep_one_history(house):
    """API and ServerApp race for the next place: every statement gets one, and the fold agrees."""
    study = house.launched()
    other = house.again()
    mine, theirs = ([review(house) for _ in range(EACH)] for _ in range(2))

    raised = together(
        lambda: [house.rooms.ledger.append(study, note) for note in mine],
        lambda: [other.ledger.append(study, note) for note in theirs],
    )

    entries = house.rooms.ledger.entries(study, 0)
    assert raised == []
    assert sorted(entries[1:]) == sorted(mine + theirs)
    assert replay(entries).root() == other.ledger.state(study).root()


def test_one_statement_sent_to_two_hubs_at_once_stands_once(house):
    """The retry of a hospital may meet another process: both give the same place."""
    study = house.launched()
    other = house.again()
    note = house.limit(NORTH)
    found = []

    raised = together(
        *(
            lambda rooms=rooms: found.append(rooms.ledger.append(study, note))
            for rooms in (house.rooms, other, house.rooms)
        )
    )

    assert raised == []
    assert {receipt.index for receipt in found} == {1}
    assert house.rooms.ledger.size(study) == 2


def test_two_launches_at_once_begin_one_log(house):
    """Two researchers press the button together: one launches, the other is told so."""
    house.join(*NAMES)
    house.propose()
    house.sign(*NAMES)
    other = house.again()

    raised = together(
        lambda: house.rooms.charters.launch(house.charter_id),
        lambda: other.charters.launch(house.charter_id),
    )

    assert [type(error) for error in raised] == [NotReady]
    assert house.rooms.ledger.size(house.study) == 1


def test_one_invitation_used_twice_at_once_admits_one(house):
    """The same code from two machines: one joins, the other is told that it was used."""
    application = house.application(NORTH, house.token(NORTH))

    raised = together(*[lambda: house.rooms.members.join(application)] * 3)

    assert [error.rule for error in raised if isinstance(error, Refused)] == ["join.used"] * 2
    assert len(house.rooms.members.members()) == 1


def test_a_hub_runs_on_either_database_from_invitation_to_export(house, tmp_path):
    """Join, sign, launch, witness, export, sign in; and a new process finds all of it again."""
    study = house.launched()
    house.rooms.ledger.append(study, house.limit(NORTH))
    house.witness(NORTH, SOUTH)
    made = house.rooms.exports.bundle(study, tmp_path / "out", wait=0)
    token, _ = house.person("celine", "researcher")

    again = house.again()
    again.ready()

    assert (made["size"], again.ledger.size(study)) == (2, 3)
    assert again.accounts.person(token).has("researcher")
    assert again.studies.one(study)["phase"] == house.rooms.studies.one(study)["phase"]


def test_a_changed_entry_keeps_the_hub_from_serving(house):
    """On either database: triggers off, a byte changed, and the start check finds it."""
    study = house.launched()
    house.rooms.ledger.append(study, house.limit(NORTH))
    postgres = house.rooms.database.url.startswith("postgresql")
    off = "ALTER TABLE log_entry DISABLE TRIGGER ALL"
    drop = "DROP TRIGGER log_entry_no_update"
    old = house.rooms.ledger.entries(study, 1)[0]
    behind_the_hubs_back(house.rooms.database, off if postgres else drop)
    change = "UPDATE log_entry SET leaf = :leaf WHERE idx = 1"
    leaf = old.replace(b'"policy"', b'"consent"')
    behind_the_hubs_back(house.rooms.database, change, leaf=leaf)

    with pytest.raises(NotReady, match="changed in the database"):
        house.again().ready()
