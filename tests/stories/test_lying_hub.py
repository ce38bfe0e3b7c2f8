"""A hub rewrites its own history, with its own key and its triggers dropped; nobody believes it.

Real processes: the hub's program without its check at the start, and each hospital's agent.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from compliance.command import main
from compliance.errors import NotProven
from compliance.ledger.policy import Policy
from compliance.records.envelope import write_event
from compliance.signing.keys import SigningKey
from compliance.signing.note import seal
from hub.demo.processes import free_port
from hub.settings import load_settings as load_hub
from hub.wiring import hub_rooms
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.house import House
from tests.stories import liar

SITES = ("north.example", "south.example", "west.example")
Lie = Callable[["Town"], Sequence[bytes]]


@dataclass
class Town:
    """Homes of one honest history, from which each lie begins anew."""

    folder: Path
    study: str
    notes: list[bytes]
    policy: str
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def hub(self) -> Path:
        """The hub's home."""
        return self.folder / "hub"

    def begin(self, module: str, home: Path) -> None:
        """Start one process; its output stands beside the home."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CONSILIUM_")}
        with (self.folder / f"{home.name}.log").open("wb") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", f"tests.stories.{module}", str(home)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                env=kept | {"CONSILIUM_SITE_POLL_SECONDS": "1"},
            )  # fmt: skip
        self.children.append(child)

    def end(self) -> None:
        """End every process, by its own id."""
        for child in reversed(self.children):
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(timeout=20)
        self.children.clear()

    def alarms(self, site: str) -> list[str]:
        """What alarmed a hospital about this study, by rule."""
        with Rooms(load_settings(self.folder / site)) as rooms:
            return [alarm.rule for alarm in rooms.mirror.alarms(self.study)]

    def wait_for_alarms(self, seconds: float = 40.0) -> list[str]:
        """The first alarm of every hospital; fails with the logs when one stays silent."""
        end = time.monotonic() + seconds
        while True:
            found = [self.alarms(site) for site in SITES]
            if all(found):
                return [rules[0] for rules in found]
            assert time.monotonic() < end, f"{found}\n{self.logs()}"
            time.sleep(0.3)

    def logs(self) -> str:
        """The ends of every log."""
        return "\n".join(path.read_text()[-1500:] for path in sorted(self.folder.glob("*.log")))


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """A study with one closed round, mirrored and cosigned by three hospitals."""
    folder = tmp_path_factory.mktemp("honest")
    house = House(folder, _Quiet(), SITES, address=f"https://127.0.0.1:{free_port()}")
    house.launch()
    house.close_round()
    house.time.forward(seconds=6)
    house.look()
    assert house.look() == ["same"] * 3
    town = Town(
        folder, house.study, house.hub.ledger.entries(house.study, 0),
        house.hub.ledger.policy(house.study),
    )  # fmt: skip
    for rooms in house.sites.values():
        rooms.__exit__()
    house.hub.database.engine.dispose()
    return town


class _Quiet:
    """Stands in for pytest's capture, which a module's fixture cannot have."""

    def readouterr(self) -> None:
        """Nothing is captured here."""


@pytest.fixture
def town(honest: Town, tmp_path: Path) -> Iterator[Town]:
    """The same homes once more, and every process ended afterwards."""
    copy = tmp_path / "town"
    shutil.copytree(honest.folder, copy)
    town = Town(copy, honest.study, honest.notes, honest.policy)
    try:
        yield town
    finally:
        town.end()


def hub_says(town: Town, kind: str, body: dict[str, Any]) -> bytes:
    """A statement of the hub as it may have been, signed with its true key."""
    rooms = hub_rooms(load_hub(town.hub))
    state = rooms.ledger.state(town.study)
    text = write_event(
        kind, body, time=state.newest_time, actor=rooms.keys.events.name, log=state.charter_id,
        nonce="ab" * 16,
    )  # fmt: skip
    return seal(text, rooms.keys.events)


def shorter(town: Town) -> Sequence[bytes]:
    """The last entries never happened."""
    return town.notes[:-2]


def another_end(town: Town) -> Sequence[bytes]:
    """As long as before, with another last entry."""
    stop = hub_says(town, "study.stopped", {"reason": "operator", "on_behalf": None})
    return [*town.notes[:-1], stop]


def another_order(town: Town) -> Sequence[bytes]:
    """Two updates change places."""
    notes = list(town.notes)
    notes[-3], notes[-2] = notes[-2], notes[-3]
    return notes


def one_left_out(town: Town) -> Sequence[bytes]:
    """A hospital's update is gone, and the log goes on as if it had never come."""
    stop = hub_says(town, "study.stopped", {"reason": "operator", "on_behalf": None})
    return [*town.notes[:-3], *town.notes[-2:], stop]


def in_a_hospitals_name(town: Town) -> Sequence[bytes]:
    """A withdrawal that the hospital never said, signed with a key that the hub made."""
    state = hub_rooms(load_hub(town.hub)).ledger.state(town.study)
    text = write_event(
        "site.withdrawn", {"reason": "other"}, time=state.newest_time, actor="north.example/node",
        log=state.charter_id, nonce="cd" * 16,
    )  # fmt: skip
    return [*town.notes, seal(text, SigningKey("north.example/node", 1, bytes(31) + b"\x09"))]


LIES: dict[str, tuple[Lie, set[str]]] = {
    "truncated": (shorter, {"checkpoint.old"}),
    "forked": (another_end, {"checkpoint.proof"}),
    "reordered": (another_order, {"checkpoint.proof"}),
    "left out": (one_left_out, {"checkpoint.proof"}),
    "forged": (in_a_hospitals_name, {"note.form", "event.signer", "own.forged"}),
}


@pytest.mark.parametrize("name", LIES)
def test_a_hub_that_rewrites_its_log_is_caught_by_every_hospital(town: Town, name: str) -> None:
    """Each hospital alarms at its next look, cosigns nothing, and its doctor says so."""
    lie, rules = LIES[name]
    checkpoint = liar.rewrite(town.hub, town.study, lie(town))

    town.begin("liar", town.hub)
    for site in SITES:
        town.begin("onlooker", town.folder / site)
    found = town.wait_for_alarms()
    town.end()

    assert set(found) <= rules
    with pytest.raises(NotProven):
        Policy.parse(town.policy).judge(newest(town))
    assert main(["site", "doctor", "--home", str(town.folder / SITES[0]), "--json"]) == 2
    if name == "forked":
        assert fork_is_proven(town, checkpoint)


def newest(town: Town) -> bytes:
    """The hub's newest checkpoint with every cosignature it got."""
    rooms = hub_rooms(load_hub(town.hub))
    try:
        return rooms.ledger.checkpoint(town.study, latest=True)
    finally:
        rooms.database.engine.dispose()


def fork_is_proven(town: Town, lie: bytes) -> bool:
    """Two signed checkpoints of one size with two roots prove the fork to anybody."""
    with Rooms(load_settings(town.folder / SITES[0])) as rooms:
        head = rooms.mirror.head(town.study)
    assert head is not None
    files = {"hub.checkpoint": lie, "hospital.checkpoint": head.note}
    files["policy.txt"] = town.policy.encode()
    for name, data in files.items():
        (town.folder / name).write_bytes(data)
    words = [str(town.folder / name) for name in ("hub.checkpoint", "hospital.checkpoint")]
    return main(["audit", "compare", *words, "--policy", str(town.folder / "policy.txt")]) == 1
