"""The egress ledger: what a hub received is what this hospital wrote down before, byte for byte."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from site_node.gate.egress import WAYS, Egress, Leaving
from site_node.store.schema import open_store
from site_node.wiring import Rooms
from tests.site_node.gate.world import STUDY, World

COPIED = "at, channel, purpose, study, path, bytes, sha256, chain FROM egress WHERE id = 4"
INSERTED = f"INSERT INTO egress SELECT id + 1, {COPIED}"


class Wire:
    """Keeps every request that leaves a world's hospital."""

    def __init__(self, world: World) -> None:
        self.requests: list[httpx.Request] = []
        world.http.event_hooks = {"request": [self.requests.append]}

    def bodies(self) -> list[bytes]:
        """The bodies, in the order in which they left."""
        read = [request.read() for request in self.requests]
        return [body for body in read if body]


def everything(world: World) -> Rooms:
    """Join, sign, register, launch, live, train, cosign: every way to the hub but three."""
    rooms = world.joined()
    rooms.registrar.register_new()
    rooms.steward.keep_word()
    rooms.statements.deliver(rooms.hub)
    world.launched(rooms)
    for _ in range(3):
        rooms.hub.heartbeat({"supernode": "up"}, {})
    world.close_round(rooms)
    world.time.forward(seconds=6)
    rooms.witness.step(STUDY)
    rooms.steward.withdraw(STUDY, "consent")
    return rooms


def test_the_ledger_holds_what_the_hub_received_byte_for_byte(world: World) -> None:
    """Length and hash of each body, in the order in which they left, and nothing else."""
    wire = Wire(world)
    told = everything(world).egress.look(limit=10_000).plain()

    assert [row["sha256"] for row in told["lines"]] == [sha256_id(body) for body in wire.bodies()]
    assert told["total"]["bytes"] == sum(len(body) for body in wire.bodies())
    assert told["chain"]["holds"]
    assert told["sums"]["heartbeat"]["lines"] == 3
    assert {"join", "motion.signature", "charter.signature", "cosignature"} <= set(told["sums"])


def test_a_line_names_the_way_and_no_value_of_it(world: World) -> None:
    """The path stands there as a pattern: a study's id is in its own column, a value nowhere."""
    lines = everything(world).egress.look(limit=10_000).lines

    ways = {f"{way.method} {way.path}" for way in WAYS.values()}
    assert {row["path"] for row in lines} <= ways
    assert {row["study"] for row in lines} == {None, "consortium", STUDY}


def test_a_question_to_the_hub_carries_no_body(world: World) -> None:
    """What is not in the ledger said nothing: its path is made of logs, hashes and numbers."""
    wire = Wire(world)
    everything(world)

    asked = [request for request in wire.requests if not request.read()]
    assert asked
    assert {request.method for request in asked} == {"GET"}


def test_what_cannot_be_written_down_is_not_sent(world: World) -> None:
    """The ledger is away: an exception here, and not one byte at the hub."""
    rooms = world.joined()
    wire = Wire(world)
    _by_hand(world.home, "DROP TABLE egress")

    with pytest.raises(NotReady, match="nothing was sent"):
        rooms.hub.heartbeat({"supernode": "up"}, {})

    assert wire.requests == []
    assert world.hub.heartbeats == []


def test_an_application_that_cannot_be_written_down_is_not_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before this home is a member's the same holds: the hub never saw the invitation."""

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(world, "record", full)
    with pytest.raises(Exception, match="No space left"):
        world.joined()

    assert [row for row in world.hub.asked if "join" in row] == []
    assert not world.home.exists()


def test_what_has_no_reason_of_the_closed_list_cannot_leave(world: World) -> None:
    """A new way out begins with a word in the list, or it does not exist."""
    rooms = world.joined()
    before = rooms.egress.look().size

    with pytest.raises(KeyError):
        rooms.egress.write(Leaving("log.entry", b"1"), Leaving("a favour", b"2"))

    assert rooms.egress.look().size == before


def test_the_database_refuses_to_change_or_delete_a_line(world: World) -> None:
    """A line stands as long as the file."""
    world.joined()

    for statement in ("UPDATE egress SET bytes = 0", "DELETE FROM egress"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            _by_hand(world.home, statement)


@pytest.mark.parametrize(
    ("attack", "at"),
    [
        ("UPDATE egress SET bytes = bytes - 1 WHERE id = 2", 2),
        ("UPDATE egress SET purpose = 'heartbeat' WHERE id = 2", 2),
        ("UPDATE egress SET study = 'ffeeddccbbaa9988' WHERE id = 3", 3),
        ("UPDATE egress SET sha256 = (SELECT sha256 FROM egress WHERE id = 1) WHERE id = 2", 2),
        ("UPDATE egress SET chain = 'sha256:00' WHERE id = 2", 2),
        ("DELETE FROM egress WHERE id = 2", 2),
        ("DELETE FROM egress WHERE id = 4", 4),
        ("DELETE FROM egress WHERE id > 1", 2),
        (INSERTED, 5),
    ],
)  # fmt: skip
def test_a_ledger_that_was_changed_from_outside_says_where(
    world: World, attack: str, at: int
) -> None:
    """Somebody with the file and without its triggers: the first line that is off is named."""
    rooms = world.joined(founded=False)
    for number in range(3):
        rooms.egress.write(Leaving("log.entry", b"%d" % number, STUDY))
    assert rooms.egress.look().plain()["chain"]["holds"]

    for deed in ("update", "delete"):
        _by_hand(world.home, f"DROP TRIGGER egress_no_{deed}")
    _by_hand(world.home, attack)

    assert rooms.egress.look().broken_at == at


def test_two_processes_that_write_at_once_make_one_chain(tmp_path: Path, world: World) -> None:
    """Agent and ClientApp: each line goes on from the one before, whoever wrote it."""
    ledgers = [
        Egress(sessions=open_store(tmp_path / "site.sqlite"), clock=world.time) for _ in range(2)
    ]

    def work(ledger: Egress) -> None:
        for number in range(15):
            ledger.write(Leaving("log.entry", b"%d" % number), Leaving("statement", b"x"))

    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    told = ledgers[0].look().plain()
    assert (told["chain"]["holds"], told["chain"]["lines"]) == (True, 60)


def test_sums_are_of_the_study_and_time_that_were_asked_for(world: World) -> None:
    """Lines shown may be fewer; the sums count all that fit the question."""
    rooms = world.joined(founded=False)
    rooms.egress.write(Leaving("statement", b"12345", STUDY))
    world.time.forward(days=1)
    rooms.egress.write(Leaving("statement", b"123", STUDY), Leaving("model.change", b"1", STUDY))
    rooms.egress.write(Leaving("statement", b"1", "consortium"))

    told = rooms.egress.look(study=STUDY, since=world.time.text(), limit=1).plain()

    assert told["sums"] == {
        "model.change": {"lines": 1, "bytes": 1},
        "statement": {"lines": 1, "bytes": 3},
    }
    assert [row["purpose"] for row in told["lines"]] == ["model.change"]
    assert rooms.egress.look(study=STUDY).plain()["total"] == {"lines": 3, "bytes": 9}


def test_a_statement_in_the_ledger_is_the_entry_in_the_log(world: World) -> None:
    """The hash of a note that left is found again over the bytes of the log's own entry."""
    rooms = everything(world)

    entries = {sha256_id(note) for note in world.hub.log.entries}
    lines = rooms.egress.look(study=STUDY, limit=10_000).lines
    sent = [row["sha256"] for row in lines if row["purpose"] == "log.entry"]
    assert sent
    assert set(sent) <= entries


def _by_hand(home: Path, statement: str) -> None:
    with sqlite3.connect(home / "site.sqlite") as database:
        database.execute(statement)
    database.close()
