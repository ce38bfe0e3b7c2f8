"""Killed with -9 at the worst moment, in a process of its own: afterwards all of it or nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from compliance.rules.fold import replay
from hub.services import retention
from tests.hub.house import NAMES, House, behind_the_hubs_back
from tests.site_node.gate.world import STUDY, World

NORTH = NAMES[1]


def killed(job: Callable[[], Any]) -> bool:
    """Do something in a forked process; whether it was killed on the way."""
    pid = os.fork()
    if pid == 0:
        try:
            job()
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return os.WIFSIGNALED(status)


def cut(*_: Any) -> None:
    """The power goes."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_power_cut_leaves_no_half_truth(either: House) -> None:
    """Between entry and state row: neither is there, and the same statement is taken afterwards."""
    study = either.launched()
    note = either.limit(NORTH)
    before = either.rooms.ledger.entries(study, 0)
    either.rooms.database.engine.dispose()

    assert killed(lambda: either.again().ledger.append(study, note, also=cut))

    again = either.again()
    again.ready()
    assert again.ledger.entries(study, 0) == before
    assert again.ledger.append(study, note).index == len(before)
    assert replay(again.ledger.entries(study, 0)).root() == again.ledger.state(study).root()


def test_a_power_cut_after_the_entry_is_healed_by_sending_it_again(either: House) -> None:
    """Between commit and answer: the hospital sends again and is told the same place."""
    study = either.launched()
    note = either.limit(NORTH)
    size = either.rooms.ledger.size(study)
    either.rooms.database.engine.dispose()

    def append_and_die() -> None:
        either.again().ledger.append(study, note)
        cut()

    assert killed(append_and_die)

    again = either.again()
    again.ready()
    assert again.ledger.append(study, note).index == size
    assert again.ledger.size(study) == size + 1


def test_a_witness_killed_before_it_sent_cosigns_the_same_checkpoint(tmp_path: Path) -> None:
    """Between commit and cosignature: the same line goes out after the restart, and no other."""
    world = World(tmp_path)
    rooms = world.joined()
    world.launched(rooms)
    world.hub.open_round()
    rooms.store.kw["bind"].dispose()

    def look_and_die() -> None:
        mine = world.rooms()
        mine.witness._send = cut  # type: ignore[method-assign]
        mine.witness.step(STUDY)

    assert killed(look_and_die)
    assert world.hub.log.lines == []
    world.time.forward(seconds=40)
    again = world.rooms()
    head = again.mirror.head(STUDY)

    step = again.witness.step(STUDY)

    assert (step.outcome, step.size) == ("cosigned", 2)
    assert head is not None
    assert [line.strip() for line in world.hub.log.lines] == [head.cosignature.strip()]


def ended(house: House) -> tuple[str, Any]:
    """A study whose retention is over, asked for by one administrator; and the other one."""
    study = house.launched()
    until = house.rooms.ledger.state(study).charter.retention_until
    house.time.now = datetime.fromisoformat(until)
    house.rooms.retention.prepare(study, house.person("ada", "admin")[1])
    ben = house.person("ben", "admin")[1]
    house.rooms.database.engine.dispose()
    return study, ben


def test_a_power_cut_before_the_commit_destroys_nothing(either: House) -> None:
    """Every row is deleted and the power goes: all of it is there, guards and files too."""
    study, ben = ended(either)
    before = [either.rooms.ledger.entries(log, 0) for log in (study, "consortium")]
    either.rooms.database.engine.dispose()

    def destroy_and_die() -> None:
        retention._operation = cut  # type: ignore[assignment] # in this process alone
        either.again().retention.destroy(study, ben)

    assert killed(destroy_and_die)

    again = either.again()
    again.ready()
    assert [again.ledger.entries(log, 0) for log in (study, "consortium")] == before
    assert (either.home / "studies" / study).is_dir()
    with pytest.raises(DBAPIError, match="append-only"):
        behind_the_hubs_back(again.database, "DELETE FROM log_entry")
    assert again.retention.destroy(study, ben)["state"] == "destroyed"


def test_a_power_cut_after_the_commit_is_finished_at_the_next_start(either: House) -> None:
    """The rows are gone, the files are not: the hub removes them before it serves."""
    study, ben = ended(either)

    def destroy_and_die() -> None:
        mine = either.again()
        mine.registry.destroy = cut  # type: ignore[method-assign]
        mine.retention.destroy(study, ben)

    assert killed(destroy_and_die)
    assert (either.home / "studies" / study).is_dir()

    again = either.again()
    again.ready()

    assert not list(either.home.rglob(f"*{study}*"))
    assert again.retention.destroy(study, ben)["destroyed_at"]
    assert again.ledger.places("consortium", "erasure.done")
