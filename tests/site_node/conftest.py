"""A site's commands against the hub of the tests, at the real time."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvicorn

from hub.services.authority import make_authority
from tests.site_node.gate.world import Shelf, Time, World
from tests.site_node.shell import Site


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate authority and a server certificate for loopback."""
    folder = tmp_path_factory.mktemp("tls")
    make_authority(folder / "tls", "hub.example", "127.0.0.1", datetime.now(UTC))
    return folder / "tls"


class Present(Time):
    """The time that passes: a slow machine does not look like a clock that is wrong."""

    @property  # type: ignore[override]
    def now(self) -> datetime:
        """The real time."""
        return datetime.now(UTC).replace(microsecond=0)

    @now.setter
    def now(self, _: datetime) -> None:
        """Nobody moves it."""


@pytest.fixture
def world(tmp_path: Path, tls: Path) -> Iterator[World]:
    """The hub of the tests behind real TLS, at the real time."""
    made = World(tmp_path)
    made.time = made.hub.time = Present()
    listener = socket.create_server(("127.0.0.1", 0))
    made.hub.address = f"https://127.0.0.1:{listener.getsockname()[1]}"
    made.hub.ca = (tls / "ca.pem").read_bytes()
    config = uvicorn.Config(
        made.hub.app(),
        ssl_certfile=str(tls / "server.pem"),
        ssl_keyfile=str(tls / "server.key"),
        log_level="critical",
        lifespan="off",
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield made
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def site(world: World, capsys: pytest.CaptureFixture[str]) -> Site:
    """A technician's shell."""
    return Site(world, capsys)


@pytest.fixture
def member(site: Site) -> Site:
    """The same after joining."""
    site.ask("join", site.world.code(), "--no-passphrase", "--title", "North Hospital")
    site.ask("sign", site.world.hub.found(), "--yes")
    return site


@pytest.fixture
def shelf(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one dataset of the test world in place of an imported one."""
    held = Shelf(world.home / "datasets" / "chest")
    monkeypatch.setattr("site_node.rooms.ground.Catalogue", lambda *_: held)
