"""A whole hub over either database: two processes, one log, nothing lost."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from compliance.errors import NotReady, Refused
from compliance.rules.consortium.fold import replay as replay_consortium
from compliance.rules.fold import replay
from tests import factories as make
from tests.hub.house import NAMES, House, behind_the_hubs_back, key_of
from tests.seams.test_storage import together

EAST, NORTH, SOUTH = NAMES
EACH = 8
LOG = "consortium"


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


def test_the_last_two_signatures_at_once_carry_a_text_once(house):
    """Two hospitals sign in the same second, at two processes: one entry, nobody is turned away."""
    house.join(*NAMES)
    house.motion("member.suspended", {"site": EAST, "reason": "policy"}, NORTH)
    motion = house.rooms.motions.all()[0]
    text = base64.b64decode(motion["text_base64"])
    line = key_of(f"{SOUTH}/institution").line(text)
    other = house.again()
    before = house.rooms.ledger.size(LOG)

    raised = together(*[lambda rooms=rooms: rooms.motions.sign(motion["id"], line)
                        for rooms in (house.rooms, other)])  # fmt: skip

    assert raised == []
    assert house.rooms.ledger.size(LOG) == before + 1
    assert other.motions.get(motion["id"])["state"] == "carried"
    assert replay_consortium(other.ledger.entries(LOG, 0)).root() == (
        house.rooms.ledger.consortium().root()
    )


def test_launches_motions_and_closings_at_once_do_not_wait_for_each_other_for_ever(house):
    """Several locks are taken in one order: all get through, and both logs fold."""
    study = house.launched()
    first, second = house.rooms, house.again()
    body = {"reason": "abandoned", "on_behalf": None}
    closing = house.note("study.closed", body, make.EVENTS, by=first.keys.events)
    fresh = {"version": make.sha("fresh")}
    notes = [house.registration(site, **fresh) for site in NAMES]
    text = first.ledger.draft(LOG, "member.suspended", {"site": EAST, "reason": "policy"},
                              f"{NORTH}/institution")  # fmt: skip
    line = key_of(f"{NORTH}/institution").line(text)

    raised = together(
        lambda: first.ledger.submit(study, closing),
        lambda: second.motions.propose(LOG, text, line),
        *(lambda rooms=rooms, note=note, site=site: rooms.catalogue.register(site, note)
          for rooms, note, site in zip((first, second, first), notes, NAMES, strict=True)),
    )  # fmt: skip

    assert raised == []
    state = replay_consortium(second.ledger.entries(LOG, 0))
    assert state.studies[house.charter_id].closed is not None
    assert all(len(state.datasets[site, make.DATASET]) == 2 for site in NAMES)


def test_a_crash_between_entry_and_answer_is_mended_by_sending_again(house):
    """The hub was killed after the commit: the same note gets the same place, in either log."""
    study = house.launched()
    note = house.registration(NORTH, version=make.sha("fresh"))
    places = [house.rooms.ledger.submit(LOG, note), house.rooms.ledger.submit(study, house.say())]
    again = house.again()
    again.ready()

    assert again.ledger.submit(LOG, note) == places[0]
    assert again.ledger.size(LOG) == places[0].index + 1
    house.witness(NORTH, SOUTH, log=LOG)
    assert again.ledger.checkpoint(LOG)


def test_a_changed_entry_of_the_consortium_keeps_the_hub_from_serving(house):
    """On either database: a member added by hand is found before anything is served."""
    house.join(*NAMES)
    postgres = house.rooms.database.url.startswith("postgresql")
    off = "ALTER TABLE log_entry DISABLE TRIGGER ALL"
    drop = "DROP TRIGGER log_entry_no_update"
    old = house.rooms.ledger.entries(LOG, 0)[0]
    behind_the_hubs_back(house.rooms.database, off if postgres else drop)
    change = "UPDATE log_entry SET leaf = :leaf WHERE idx = 0 AND study = 'consortium'"
    leaf = old.replace(b'"min_cell":5', b'"min_cell":1')
    behind_the_hubs_back(house.rooms.database, change, leaf=leaf)

    with pytest.raises(NotReady, match="log of the consortium was changed"):
        house.again().ready()


@pytest.mark.parametrize("act", ["UPDATE log_entry SET actor = 'x'", "DELETE FROM log_entry"])
def test_the_consortiums_entries_stand_for_ever(house, act):
    """The database refuses, aloud, for this log as for every study's."""
    house.join(*NAMES)
    before = house.rooms.ledger.entries(LOG, 0)

    with pytest.raises(DBAPIError, match="append-only"):
        behind_the_hubs_back(house.rooms.database, act + " WHERE study = 'consortium'")

    assert house.rooms.ledger.entries(LOG, 0) == before
