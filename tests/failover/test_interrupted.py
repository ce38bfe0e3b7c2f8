"""Killed with -9 at every step of a rebuild, or of following a successor: started again, it ends.

A step is the first and the last call of each function of the modules that do the work: whatever
may be half done is half done at one of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from compliance.command import main
from hub.federation.aggregation.again import aggregated
from site_node.gate.following import read_code
from site_node.settings import load_settings
from tests.failover.successors import (
    ADDRESS,
    LONG_AGO,
    Successor,
    mirrors,
    roots,
)
from tests.house import House
from tests.ledger.test_power_cuts import killed

HUB = tuple(
    f"hub/{name}.py"
    for name in (
        "recovery_cli", "services/rebuild", "services/held", "services/indexes", "services/entries",
        "services/weights", "services/registry", "storage/ledger", "storage/database",
    )
)  # fmt: skip
SITE = ("site_node/gate/following.py", "site_node/settings.py", "site_node/gate/journal.py")


def calls_of(job: Callable[[], Any], modules: Sequence[str]) -> list[str]:
    """Every call of a function of these modules, in order."""
    seen: list[str] = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.endswith(tuple(modules)):
            seen.append(frame.f_code.co_qualname)

    sys.setprofile(watch)
    try:
        job()
    finally:
        sys.setprofile(None)
    return seen


def steps_of(calls: Sequence[str]) -> list[int]:
    """Where each function is called first and last."""
    first = {name: index for index, name in reversed(list(enumerate(calls)))}
    last = {name: index for index, name in enumerate(calls)}
    return sorted({*first.values(), *last.values()})


def killed_at(step: int, job: Callable[[], Any], modules: Sequence[str]) -> bool:
    """Do it in a process that is killed at this call; whether it came so far."""
    count = 0

    def cut(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        if event == "call" and frame.f_code.co_filename.endswith(tuple(modules)):
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    def cut_short() -> None:
        sys.setprofile(cut)
        job()

    return killed(cut_short)


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.long)])
def test_a_rebuild_that_was_killed_is_started_again_and_ends(
    house: House,
    successor: Successor,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    every: int,
) -> None:
    """At each step all logs are there or none, nothing is written before, and the end is one."""
    folders = mirrors(house, tmp_path)
    for folder, rooms in zip(folders, house.sites.values(), strict=True):
        rooms.weights.write(folder)
    successor.hub.database.engine.dispose()
    words = [word for folder in folders for word in ("--from", str(folder))]

    def rebuild(home: Path) -> int:
        return main(["hub", "rebuild", *words, "--lost", LONG_AGO, "--home", str(home)])

    def fresh(name: str) -> Path:
        return Path(shutil.copytree(successor.home, tmp_path / name))

    trial = fresh("trial")
    calls = calls_of(lambda: rebuild(trial), HUB)
    for step in steps_of(calls)[::every]:
        home = fresh(f"killed-{step}")
        assert killed_at(step, lambda home=home: rebuild(home), HUB), calls[step]

        again = Successor.opened(home, house)
        if again.held.mark() is not None or not again.ledger.logs():
            assert again.ledger.logs() in ([], house.hub.ledger.logs()), calls[step]
            assert rebuild(home) == 0, calls[step]
        else:
            capsys.readouterr()
            assert rebuild(home) == 2, calls[step]
            assert "consilium hub resume" in capsys.readouterr().err
            again.weights(aggregated).take(folders)
        done = Successor.opened(home, house)
        assert roots(done) == roots(house.hub), calls[step]
        assert done.held.mark() is None, calls[step]
        assert done.runs.without_model() == [], calls[step]
        done.ready()
        done.database.engine.dispose()
        shutil.rmtree(home)


def test_a_hospital_that_was_killed_while_it_follows_follows_again(
    house: House, successor: Successor, tmp_path: Path
) -> None:
    """At each step its settings are the old ones or the new ones, and a second try ends."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)
    code = read_code(successor.hub.members.follow_code())
    north = house.sites["north.example"]
    home, kept = north.settings.home, tmp_path / "before"
    shutil.copytree(home, kept)
    old = load_settings(home).hub_address

    def follow() -> None:
        rooms = house.rooms_of(home, "north.example", iter(os.urandom(32) for _ in range(999)))
        rooms.following.follow(code, successor.connections(), lambda *_: None)

    calls = calls_of(follow, SITE)
    for step in steps_of(calls):
        shutil.rmtree(home)
        shutil.copytree(kept, home)
        assert killed_at(step, follow, SITE), calls[step]
        assert load_settings(home).hub_address in (old, ADDRESS), calls[step]

        follow()
        follow()

        assert load_settings(home).hub_address == ADDRESS, calls[step]
        assert (home / "ca.pem").read_bytes() == successor.hub.ca_path.read_bytes()
        assert (home / "site.toml.before").read_bytes() == (kept / "site.toml").read_bytes()
        assert not list(home.glob("*.next")) + list(home.glob("*.part")), calls[step]
