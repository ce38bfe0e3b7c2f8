"""The records of a study go as a whole, by two people, after the agreed day, and no other's do."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from compliance.errors import NotReady, Refused
from compliance.records.envelope import parse_event
from compliance.records.kinds import CONSORTIUM
from compliance.signing.note import parse
from hub.services.accounts import Person
from hub.services.retention import DESTROY, PREPARE
from tests.hub.house import NAMES, PASSWORD, House, behind_the_hubs_back, key_of, rows_of
from tests.postgres import Cluster

EAST, NORTH, SOUTH = NAMES
ABOUT = ("log", "log_entry", "log_node", "log_checkpoint", "log_cosignature", "charter_draft",
         "charter_signature", "charter_refusal", "sealed_payload", "model", "study_run", "motion",
         "motion_signature", "intent", "ticket")  # fmt: skip


class Over:
    """Two studies whose retention has passed for the first; two administrators and an auditor."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.other = house.launched(title="Another study")
        house.propose()
        house.sign(*NAMES)
        house.rooms.charters.launch(house.charter_id)
        self.study = house.study
        self.names: tuple[str, ...] = (house.study, house.charter_id)
        self.ada, self.ben, self.aya = (
            house.person(name, role)[1]
            for name, role in (("ada", "admin"), ("ben", "admin"), ("aya", "auditor"))
        )
        house.rooms.ledger.append(self.study, house.limit(NORTH))
        self.act(self.aya, "review.note", {"result": "nothing_found", "remark": "Seen."})
        house.rooms.ledger.issue_checkpoint(self.study)
        house.witness(NORTH, SOUTH)
        exports = house.rooms.exports
        path = Path(exports.bundle(self.study, house.home / "exports", wait=0)["bundle"])
        exports.ticket(path, path.name)
        self._motion()

    def _motion(self) -> None:
        text = self.house.rooms.ledger.draft(
            self.study, "study.resumed", {"stopped": 0}, f"{NORTH}/institution"
        )
        line = key_of(f"{NORTH}/institution").line(text)
        self.names += (self.house.rooms.motions.propose(self.study, text, line)["id"],)

    def act(
        self, person: Person, action: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A person prepares an act and confirms it."""
        intents = self.house.rooms.intents
        told = intents.prepare(person, action, self.study, body or {})
        typed = told["typed"]
        done: dict[str, Any] = intents.confirm(person, told["id"], PASSWORD, typed)["result"]
        return done

    def pass_the_day(self) -> None:
        """The last day of retention is over; people sign in anew."""
        until = self.house.rooms.ledger.state(self.study).charter.retention_until
        self.house.time.now = datetime.fromisoformat(until)
        again = self.house.rooms.accounts.sign_in
        self.ada, self.ben = (again(name, PASSWORD)[1] for name in ("ada", "ben"))

    def destroy(self) -> dict[str, Any]:
        """Both say yes."""
        self.act(self.ada, PREPARE)
        return self.act(self.ben, DESTROY)

    def traces(self) -> dict[str, int]:
        """How many rows of each table name the study, its charter or its motion, anywhere."""
        database = self.house.rooms.database
        return {
            table: sum(any(name in str(row) for name in self.names) for row in found)
            for table in ABOUT
            for found in [rows_of(database, table)]
        }

    def vanish(self) -> None:
        """Somebody deletes the log in the database, triggers out of the way."""
        mine = f"WHERE study = '{self.study}'"
        behind_the_hubs_back(
            self.house.rooms.database,
            "DROP TRIGGER log_entry_no_delete",
            f"DELETE FROM log_entry {mine}",  # noqa: S608 - a test's own word
            f"DELETE FROM log {mine}",  # noqa: S608 - a test's own word
        )


@pytest.fixture
def over(house: House) -> Over:
    """A study whose retention has passed."""
    made = Over(house)
    made.pass_the_day()
    return made


@pytest.fixture
def either_over(either: House) -> Over:
    """The same on both databases."""
    made = Over(either)
    made.pass_the_day()
    return made


def test_two_administrators_destroy_the_records_as_a_whole(either_over: Over) -> None:
    """No row, no file, no key of the study is left; a tombstone and the consortium say that."""
    over, house = either_over, either_over.house
    state = house.rooms.ledger.state(over.study)
    size, root = state.size, state.root().hex()
    before = over.traces()
    assert {name for name, count in before.items() if not count} == {"charter_refusal", "study_run"}

    told = over.destroy()

    assert (told["state"], told["size"], told["root"]) == ("destroyed", size, root)
    left = over.traces()
    acts = [row["action"] for row in rows_of(house.rooms.database, "intent")]
    assert left.pop("intent") == acts.count(PREPARE) + acts.count(DESTROY)
    assert {name for name, count in left.items() if count} == {"log_entry"}
    entries = rows_of(house.rooms.database, "log_entry")
    assert over.study not in {row["study"] for row in entries}  # the consortium's list stays
    assert not list(house.home.rglob(f"*{over.study}*"))
    said = parse_event(
        parse(house.rooms.ledger.entries("consortium", 0)[-1]).text, kinds=CONSORTIUM
    )
    assert (said.type, said.body.what, said.body.commitment) == (
        "erasure.done", "study_records", told["charter_id"],
    )  # fmt: skip
    assert house.rooms.ledger.consortium().studies[told["charter_id"]].closed is not None


def test_another_study_stays_as_it_was_with_every_proof(either_over: Over) -> None:
    """Rows, checkpoint, proofs and policy of the other study are the same bytes; it goes on."""
    over, house = either_over, either_over.house
    ledger, other = house.rooms.ledger, over.other
    ledger.issue_checkpoint(other)
    house.witness(NORTH, SOUTH, log=other)
    before = (ledger.entries(other, 0), ledger.proof(other, 0), ledger.policy(other))

    over.destroy()

    again = house.again()
    again.ready()
    assert (
        again.ledger.entries(other, 0), again.ledger.proof(other, 0), again.ledger.policy(other)
    ) == before  # fmt: skip
    assert [row["study"] for row in again.studies.all()] == [other]
    body = {"reason": "operator", "on_behalf": None}
    assert again.ledger.say(other, "study.stopped", body).index == len(before[0])


def test_the_log_is_append_only_again_afterwards(either_over: Over) -> None:
    """The guards that were put aside are back, for rows of every other study."""
    either_over.destroy()

    for act in (
        "UPDATE log_entry SET actor = 'x'",
        "DELETE FROM log_entry",
        "DELETE FROM log_node",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            behind_the_hubs_back(either_over.house.rooms.database, act)


def test_before_the_agreed_day_nothing_is_destroyed(house: House) -> None:
    """The answer names the day; neither asking nor confirming is possible."""
    over = Over(house)
    before = over.traces()

    for act in (PREPARE, DESTROY):
        with pytest.raises(NotReady, match="must be kept until"):
            over.act(over.ada, act)

    assert {**over.traces(), "intent": 0} == {**before, "intent": 0}


def test_a_legal_hold_keeps_the_records(house: House) -> None:
    """An opened case stops the first yes, and one opened after it stops the second."""
    over = Over(house)
    over.act(over.aya, "review.note", {"result": "opened_case", "from": 0, "to": 1})
    over.pass_the_day()
    with pytest.raises(NotReady, match="opened a case"):
        over.act(over.ada, PREPARE)
    aya = house.rooms.accounts.sign_in("aya", PASSWORD)[1]
    over.act(aya, "review.note", {"result": "closed_case"})
    over.act(over.ada, PREPARE)
    over.act(aya, "review.note", {"result": "opened_case"})

    with pytest.raises(NotReady, match="opened a case"):
        over.act(over.ben, DESTROY)

    (row,) = (row for row in house.rooms.retention.all() if row["study"] == over.study)
    assert (row["state"], len(row["legal_holds"])) == ("held", 1)


def test_one_administrator_alone_destroys_nothing(over: Over) -> None:
    """Without a first yes, and with both by one hand, the records stay."""
    with pytest.raises(NotReady, match="1 of 2 administrators"):
        over.act(over.ada, DESTROY)
    over.act(over.ada, PREPARE)

    with pytest.raises(NotReady, match="1 of 2 administrators"):
        over.act(over.ada, DESTROY)

    assert over.house.rooms.ledger.size(over.study)


@pytest.mark.parametrize("name", ["aya", "celine"])
def test_only_administrators_ask_and_confirm(over: Over, name: str) -> None:
    """Neither an auditor nor a researcher counts."""
    if name == "celine":
        over.house.person(name, "researcher")
    _, person = over.house.rooms.accounts.sign_in(name, PASSWORD)

    for act in (PREPARE, DESTROY):
        with pytest.raises(Refused):
            over.act(person, act)


def test_a_first_yes_counts_for_a_week(over: Over) -> None:
    """Nobody finds an old yes years later and finishes it."""
    over.act(over.ada, PREPARE)
    over.house.time.forward(days=7, seconds=1)
    _, ben = over.house.rooms.accounts.sign_in("ben", PASSWORD)

    with pytest.raises(NotReady, match="1 of 2 administrators"):
        over.act(ben, DESTROY)


def test_a_first_yes_by_somebody_who_is_no_administrator_any_more_does_not_count(
    over: Over,
) -> None:
    """The role is asked again when it matters."""
    over.act(over.ada, PREPARE)
    take = "DELETE FROM account_grant WHERE account = :ada"
    behind_the_hubs_back(over.house.rooms.database, take, ada=over.ada.number)

    with pytest.raises(NotReady, match="1 of 2 administrators"):
        over.act(over.ben, DESTROY)


def test_a_log_that_grew_since_the_first_yes_is_looked_at_again(over: Over) -> None:
    """What the first one saw is what is destroyed, nothing else."""
    over.act(over.ada, PREPARE)
    body = {"from": 0, "to": 1, "result": "nothing_found", "on_behalf": None}
    over.house.rooms.ledger.say(over.study, "review.noted", body)

    with pytest.raises(NotReady, match="has grown"):
        over.act(over.ben, DESTROY)
    over.act(over.ada, PREPARE)

    assert over.act(over.ben, DESTROY)["state"] == "destroyed"


def test_destroying_twice_destroys_once(over: Over) -> None:
    """A repeated yes gets the same tombstone; the consortium's log says it once."""
    first = over.destroy()

    assert over.act(over.ben, DESTROY) == over.act(over.ada, PREPARE) == first
    assert len(over.house.rooms.ledger.places("consortium", "erasure.done")) == 1


LAST_STEP = (
    "CREATE TRIGGER stop_here BEFORE INSERT ON operation WHEN NEW.what = 'study.destroyed' "
    "BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
)


def test_a_stop_at_the_last_step_leaves_everything(over: Over) -> None:
    """The transaction fails after all was deleted: all of it is there, and the guards too."""
    over.act(over.ada, PREPARE)
    before = over.traces()
    behind_the_hubs_back(over.house.rooms.database, LAST_STEP)

    with pytest.raises(DBAPIError, match="disk is full"):
        over.act(over.ben, DESTROY)

    again = over.house.again()
    again.ready()
    assert {**over.traces(), "intent": 0} == {**before, "intent": 0}
    assert list((over.house.home / "exports").glob(f"*{over.study}*"))
    with pytest.raises(DBAPIError, match="append-only"):
        behind_the_hubs_back(over.house.rooms.database, "DELETE FROM log_entry")
    behind_the_hubs_back(over.house.rooms.database, "DROP TRIGGER stop_here")
    assert over.act(over.ben, DESTROY)["state"] == "destroyed"


def test_files_that_a_crash_left_go_at_the_next_start(over: Over) -> None:
    """The rows are gone, the files are not yet: the hub finishes what was begun."""
    over.destroy()
    house = over.house
    folder = house.home / "studies" / over.study / "models"
    folder.mkdir(parents=True)
    (folder / "a.f32").write_bytes(b"weights")
    behind_the_hubs_back(house.rooms.database, "UPDATE tombstone SET swept_at = NULL")

    house.again().ready()

    assert not list(house.home.rglob(f"*{over.study}*"))
    assert rows_of(house.rooms.database, "tombstone")[0]["swept_at"]


def test_another_process_that_knew_the_study_does_not_go_on_with_it(over: Over) -> None:
    """What is in its memory counts no more: nothing is read from there, nothing appended."""
    other = over.house.again()
    assert other.ledger.state(over.study).size
    note = over.house.limit(SOUTH)

    over.destroy()

    with pytest.raises(NotReady, match="no log of a study"):
        other.ledger.state(over.study)
    with pytest.raises(NotReady, match="no log of a study"):
        other.ledger.append(over.study, note)
    assert not over.traces()["log"]


def test_a_log_that_vanished_without_a_record_keeps_the_hub_from_serving(over: Over) -> None:
    """Two people and an entry end a log; an administrator of the database alone does not."""
    over.vanish()
    stone = "INSERT INTO tombstone VALUES (:study, 'x', 1, 'y', 1, 't', 2, 't', 't')"
    behind_the_hubs_back(over.house.rooms.database, stone, study=over.study)

    with pytest.raises(NotReady, match="which the consortium lists"):
        over.house.again().ready()


def test_a_hospital_alone_cannot_excuse_a_missing_log(over: Over) -> None:
    """A hospital may say that it destroyed its copy; that ends no log of the hub."""
    house = over.house
    charter_id = over.names[1]
    body = {"what": "study_records", "commitment": charter_id}
    note = house.note("erasure.done", body, f"{NORTH}/node", log=house.agreement_id)
    house.rooms.ledger.append("consortium", note)
    over.vanish()

    with pytest.raises(NotReady, match="which the consortium lists"):
        house.again().ready()


def test_the_list_says_for_each_study_what_goes_and_when(over: Over) -> None:
    """Kept, due, asked for, destroyed: each with its day."""
    retention = over.house.rooms.retention

    def states() -> dict[str, str]:
        return {row["study"]: row["state"] for row in retention.all()}

    assert states() == {over.study: "due", over.other: "due"}
    over.act(over.ada, PREPARE)
    assert states()[over.study] == "prepared"
    over.act(over.ben, DESTROY)
    (stone,) = (row for row in retention.all() if row["study"] == over.study)
    assert (stone["state"], stone["destroyed_at"]) == ("destroyed", over.house.time.text())
    assert "title" not in stone
    assert json.dumps(retention.all())


def test_a_role_that_does_not_own_the_tables_is_told_so(postgres: Cluster, tmp_path: Path) -> None:
    """PostgreSQL with a clerk's role: nothing is changed, and the sentence says who can do it."""
    url = postgres.database()
    house = House(tmp_path / "hub", database_url=url)
    over = Over(house)
    over.pass_the_day()
    over.act(over.ada, PREPARE)
    before = over.traces()
    behind_the_hubs_back(
        house.rooms.database,
        "CREATE ROLE clerk LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO clerk",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO clerk",
    )
    house._url = url.replace("//postgres@", "//clerk@")

    with pytest.raises(NotReady, match="does not own the tables"):
        house.again().retention.destroy(over.study, over.ben)

    assert over.traces() == before
    assert over.act(over.ben, DESTROY)["state"] == "destroyed"
    house.close()
