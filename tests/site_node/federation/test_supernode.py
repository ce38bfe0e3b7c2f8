"""The supervisor of a hospital's SuperNode: what it starts again, and what it leaves alone."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from site_node.federation.supernode import CONNECTING, STOPPED, UP, SuperNodeSupervisor
from site_node.settings import Settings

TAKES_AND_WAITS = "say('SuperNode ID: 7'); say('Received successfully'); time.sleep(60)"
TAKES_AND_WORKS = (
    "say('SuperNode ID: 7'); say('Received successfully'); say('Start `flwr-clientapp` process'); "
    "time.sleep(60)"
)
IDLE = "say('SuperNode ID: 7'); time.sleep(60)"


class Stand(SuperNodeSupervisor):
    """The supervisor with a small program in the place of Flower's."""

    program = IDLE

    def command(self, port: int) -> list[str]:
        """The small program; it says what Flower says."""
        head = "import functools, time; say = functools.partial(print, flush=True); "
        return [sys.executable, "-c", head + self.program]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a site that has joined."""
    home = tmp_path / "north"
    (home / "flower").mkdir(parents=True)
    return Settings(
        home=home,
        site="north.example",
        hub_address="https://hub.example",
        fleet_host="hub.example",
        bundle_sha256="sha256:00",
    )


def stand(settings: Settings, program: str) -> Stand:
    """A supervisor that gives an order half a second to begin."""
    made = Stand(settings, environment=dict(os.environ), backoff=(0,), start_seconds=0.5)
    made.program = program
    return made


def until(sight: Callable[[], bool], seconds: float = 60.0) -> None:
    """Look until it is so."""
    end = time.monotonic() + seconds
    while not sight():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_a_supernode_that_takes_an_order_and_begins_nothing_is_started_anew(
    settings: Settings,
) -> None:
    """Flower would wait for the answer for ever; the log says why, and what ran."""
    supervisor = stand(settings, TAKES_AND_WAITS)
    supervisor.start()
    try:
        until(lambda: supervisor.starts >= 3)
    finally:
        supervisor.stop()

    said = (settings.home / "flower" / "supernode.log").read_text(encoding="utf-8")
    assert "an order lay for 0.5 s and no work began" in said
    assert sys.executable in said.partition("Its processes were:")[2]
    assert supervisor.state == STOPPED


@pytest.mark.parametrize("program", [TAKES_AND_WORKS, IDLE], ids=["at work", "no order"])
def test_work_that_began_and_a_wait_for_orders_are_left_alone(
    settings: Settings, program: str
) -> None:
    """Training may take hours, and so may the next order."""
    supervisor = stand(settings, program)
    supervisor.start()
    try:
        until(lambda: supervisor.state == UP)
        time.sleep(1.5)
        assert supervisor.starts == 1
        assert supervisor.state == UP
    finally:
        supervisor.stop()


def test_a_supernode_that_ended_comes_back(settings: Settings) -> None:
    """Whatever ended it."""
    supervisor = stand(settings, "say('Connection attempt failed')")
    supervisor.start()
    try:
        until(lambda: supervisor.starts >= 3)
        assert supervisor.state in {CONNECTING, UP}
    finally:
        supervisor.stop()
