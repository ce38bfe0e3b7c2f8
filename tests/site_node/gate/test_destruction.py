"""After the agreed day a hospital destroys its copy of a study, as a whole, and never a dataset."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from compliance.errors import NotReady
from site_node.store import outbox, replies
from site_node.wiring import Rooms
from tests.site_node.gate.world import CONSORTIUM, STUDY, World

OTHER = "ffeeddccbbaa0099"
TABLES = ("mirror_log", "mirror_entry", "mirror_quorum", "mirror_alarm", "outbox", "reply",
          "study_decision")  # fmt: skip


def rows(rooms: Rooms, table: str, study: str = STUDY) -> int:
    """How many rows of a table belong to a study."""
    query = f"SELECT count(*) FROM {table} WHERE study = :study"  # noqa: S608 - a test's own word
    with rooms.store() as session:
        return int(session.execute(text(query), {"study": study}).scalar() or 0)


def end_of_retention(world: World, rooms: Rooms) -> None:
    """The last day of the charter is over."""
    until = rooms.mirror.state(STUDY).charter.retention_until
    world.time.now = datetime.fromisoformat(until)


@pytest.fixture
def over(world: World, rooms: Rooms) -> Rooms:
    """A study of one round, with an alarm, whose retention is over; another study beside it."""
    world.close_round(rooms)
    rooms.witness.step(STUDY)
    rooms.witness.follow_quorum(STUDY)
    rooms.mirror.raise_alarm(STUDY, "own.missing", "looked at", b"evidence", {"a": b"b"})
    rooms.mirror.raise_alarm(OTHER, "own.missing", "stays", b"evidence", {"a": b"b"})
    end_of_retention(world, rooms)
    return rooms


def update_files(rooms: Rooms) -> list[Path]:
    """Updates that left and are kept here."""
    return sorted((rooms.settings.home / "replies").glob("*.f32"))


def test_a_hospital_destroys_its_copy_as_a_whole(world: World, over: Rooms) -> None:
    """No row and no update is left; size and root stay, the journal tells, the log too."""
    head = over.mirror.head(STUDY)
    assert head is not None
    assert all(rows(over, table) for table in TABLES)
    assert len(update_files(over)) == 1
    shelf = {p: p.read_bytes() for p in (over.settings.home / "datasets").rglob("*") if p.is_file()}

    told = over.destruction.destroy(STUDY)

    assert {table: rows(over, table) for table in TABLES} == dict.fromkeys(TABLES, 0)
    assert update_files(over) == []
    with over.store() as session:
        kept = session.execute(text("SELECT charter_id, size, root FROM destroyed_study")).one()
        evidence = session.execute(text("SELECT count(*) FROM mirror_evidence")).scalar()
    assert tuple(kept) == (head.charter_id, head.size, head.root)
    assert evidence == 1  # the other study's
    line = over.journal.lines(study=STUDY)[-1]
    assert (line["kind"], line["data"]["entries"]) == ("study.destroyed", head.size)
    assert told["on_record"]
    assert b'"erasure.done"' in world.hub.consortium.entries[-1]
    assert head.charter_id.encode() in world.hub.consortium.entries[-1]
    assert shelf == {
        p: p.read_bytes() for p in (over.settings.home / "datasets").rglob("*") if p.is_file()
    }


def test_before_the_agreed_day_the_copy_stays(world: World, over: Rooms) -> None:
    """A second before it the answer names the day."""
    world.time.forward(seconds=-1)

    with pytest.raises(NotReady, match="must be kept until"):
        over.destruction.destroy(STUDY)

    assert rows(over, "mirror_entry")
    assert len(update_files(over)) == 1


def test_an_open_case_keeps_the_copy(world: World, rooms: Rooms) -> None:
    """By the hospital's own fold, whatever the hub says."""
    body = {"from": 0, "to": 1, "result": "opened_case", "on_behalf": None}
    world.hub.say("review.noted", body)
    world.time.forward(seconds=6)
    rooms.witness.step(STUDY)
    end_of_retention(world, rooms)

    with pytest.raises(NotReady, match="opened a case"):
        rooms.destruction.destroy(STUDY)

    assert rows(rooms, "mirror_entry")


def test_a_hub_that_still_shows_the_log_does_not_bring_the_copy_back(
    world: World, over: Rooms
) -> None:
    """Forgotten is forgotten: neither this process nor the next one mirrors it again."""
    over.destruction.destroy(STUDY)

    for rooms in (over, world.rooms()):
        assert rooms.witness.step(STUDY).outcome == "destroyed"
        assert rooms.witness.follow_quorum(STUDY) == 0
        assert rooms.mirror.head(STUDY) is None


def test_the_other_logs_stay_and_are_guarded_again(world: World, over: Rooms) -> None:
    """The consortium's copy is as it was and goes on; no row of it can be changed."""
    before = over.mirror.entries(CONSORTIUM)
    alarms = rows(over, "mirror_alarm", OTHER)

    over.destruction.destroy(STUDY)

    assert over.mirror.entries(CONSORTIUM) == before
    assert rows(over, "mirror_alarm", OTHER) == alarms == 1
    world.time.forward(seconds=6)
    assert over.witness.step(CONSORTIUM).outcome == "cosigned"
    for table in ("mirror_entry", "mirror_alarm", "mirror_evidence", "journal"):
        with pytest.raises(DatabaseError, match="append-only"), over.store.begin() as session:
            session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - a test's own word


def test_an_update_that_another_study_keeps_too_stays(over: Rooms) -> None:
    """A file goes only with the last study that names it."""
    with over.store.begin() as session:
        kept = session.query(replies.ReplyRow).filter_by(study=STUDY).first()
        assert kept is not None
        fields = {c.name: getattr(kept, c.name) for c in replies.ReplyRow.__table__.columns}
        session.add(replies.ReplyRow(**fields | {"study": OTHER}))

    over.destruction.destroy(STUDY)

    assert len(update_files(over)) == 1
    assert rows(over, "reply", OTHER) == 1


def test_a_stop_in_the_middle_leaves_rows_and_guards(over: Rooms) -> None:
    """The last write fails: every row is there, nothing is said, and the next try succeeds."""
    with over.store() as session:
        session.connection().exec_driver_sql(
            "CREATE TRIGGER stop_here BEFORE INSERT ON outbox WHEN NEW.study = 'consortium' "
            "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        )
    before = {table: rows(over, table) for table in TABLES}

    with pytest.raises(DatabaseError, match="disk is full"):
        over.destruction.destroy(STUDY)

    assert {table: rows(over, table) for table in TABLES} == before
    with pytest.raises(DatabaseError, match="append-only"), over.store.begin() as session:
        session.execute(text("DELETE FROM mirror_entry"))
    with over.store() as session:
        session.connection().exec_driver_sql("DROP TRIGGER stop_here")
    assert over.destruction.destroy(STUDY)["entries"]


def test_a_hub_that_is_away_is_told_later(world: World, over: Rooms) -> None:
    """The destruction is the hospital's own; the statement waits in the outbox."""
    world.hub.away = True

    told = over.destruction.destroy(STUDY)

    assert not told["on_record"]
    with over.store() as session:
        assert [row.study for row in outbox.waiting_notes(session)] == [CONSORTIUM]
    world.hub.away = False
    over.steward.keep_word()
    assert b'"erasure.done"' in world.hub.consortium.entries[-1]


@pytest.mark.parametrize("asked", ["0011", "consortium", "9999999999999999", ""])
def test_only_a_study_that_is_kept_here_is_destroyed(over: Rooms, asked: str) -> None:
    """Too short, unknown, or the consortium's own log: nothing goes."""
    with pytest.raises(NotReady, match="names no study"):
        over.destruction.destroy(asked)
