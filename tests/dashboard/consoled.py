"""A hospital with its desk, and the console in front of it: pages in one process, or a real one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import httpx
from starlette.types import ASGIApp

from dashboard.settings import Settings
from dashboard.site_client import SiteClient
from site_node.console.app import create_app
from site_node.console.desk import Desk
from site_node.console.door import Door
from site_node.console.patience import Patience
from site_node.wiring import Rooms
from tests.dashboard.served import free_port
from tests.site_node.gate.world import STUDY, InProcess, World

Found = TypeVar("Found")
SECRET = "correct horse battery"


class Ticks:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """The seconds now."""
        return self.now


class Hospital:
    """A hospital that has joined, with one charter that waits.

    Args:
        folder: where its home is made; short, because a socket will lie below it.
        passphrase: of its key; None leaves the key open.
    """

    def __init__(self, folder: Path, *, passphrase: str | None = SECRET) -> None:
        self.world, self.secret = World(folder), passphrase
        rooms = self.world.joined(passphrase)
        self.world.hub.propose(self.world.charter(rooms))
        quality = self.world.home / "datasets" / "chest"
        quality.mkdir(parents=True)
        (quality / "quality.json").write_text(json.dumps({"findings": {"split_small": 1}}))
        self.ticks = Ticks()
        self.patience = Patience(self.ticks)
        self.desk = Desk(open_rooms=self.open, patience=self.patience)
        self.app: ASGIApp = create_app(self.desk)

    def open(self, **_: bool) -> Rooms:
        """The site's parts, as a command would open them; the way to the hub is shared."""
        rooms = self.world.rooms()
        rooms.catalogue.quarantine = lambda *_: [  # type: ignore[method-assign]
            {"dataset": "chest", "reason": "burned_in_text", "count": 3, "files": ["0123456789ab"]}
        ]
        rooms.hub.close = lambda: None  # type: ignore[method-assign]
        return rooms

    def signed(self) -> None:
        """The charter is signed here and there, launched, and one round is closed."""
        rooms = self.open()
        rooms.steward.approve(STUDY, self.secret, None)
        self.world.launch()
        rooms.witness.step("consortium")
        rooms.witness.step(STUDY)
        self.world.close_round(rooms)

    def wire(self) -> httpx.BaseTransport:
        """The way to its socket's application, without a socket."""
        return InProcess(self.app)

    def client(self) -> SiteClient:
        """What the console uses."""
        return SiteClient(self.world.home, transport=self.wire())

    @property
    def digits(self) -> str:
        """What is typed to confirm: the first characters of the charter's id."""
        return str(self.client().charter(STUDY)["card"]["type_to_confirm"])


def apart(deed: Callable[[], Found]) -> Found:
    """Do it in a thread of its own: a browser's driver keeps this one's event loop running."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(deed).result()


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="con-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def door_of(hospital: Hospital) -> Iterator[Door]:
    """Its desk on a real socket in its home."""
    door = Door(hospital.world.home, hospital.app, lambda _: None)
    assert door.unlock()
    try:
        yield door
    finally:
        door.stop()


@contextlib.contextmanager
def program(*words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A console as its own process group; gives it and what it said when it was ready."""
    command = [sys.executable, "-W", "ignore", "-m", "compliance.command", *words, "--json"]
    process = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        assert first, process.stderr.read()
        yield process, json.loads(first)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)


@contextlib.contextmanager
def pages(home: Path) -> Iterator[str]:
    """The console's pages over a home whose door is open; gives the one-time link."""
    words = ("dashboard", "serve", "--site", "--home", str(home), "--port", str(free_port()))
    with program(*words) as (_, told):
        yield told["link"]


def settings_of(home: Path, **given: Any) -> Settings:
    """The settings of a console."""
    return Settings(home=home, mode="site", **given)
