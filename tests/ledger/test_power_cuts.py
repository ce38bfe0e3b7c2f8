"""Killed with -9 at the worst moment, in a process of its own: afterwards all of it or nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from compliance.rules.fold import replay
from tests.hub.house import NAMES, House
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
