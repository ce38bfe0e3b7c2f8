"""A staged hub behind TLS and a real dashboard process in front of it, for a browser."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn

from hub.main import create_app
from tests.dashboard.served import free_port
from tests.dashboard.stage import SITES, Stage

WAIT_SECONDS = 60
ROUNDS = 4


@dataclass
class Shown:
    """What a browser test needs to know."""

    stage: Stage
    address: str
    motion: str


@contextlib.contextmanager
def hub_served(stage: Stage) -> Iterator[str]:
    """The hub's application over TLS on a free port; gives its address."""
    port = free_port()
    tls = stage.home / "tls"
    config = uvicorn.Config(
        create_app(stage.rooms),
        port=port,
        ws="none",
        log_level="critical",
        ssl_certfile=str(tls / "server.pem"),
        ssl_keyfile=str(tls / "server.key"),
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    _until(lambda: server.started)
    try:
        yield f"https://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def dashboard_served(hub: str, ca: Path, home: Path) -> Iterator[str]:
    """The dashboard as its own process group; gives its address."""
    port = free_port()
    words = (
        *("dashboard", "serve", "--home", str(home), "--hub-url", hub),
        *("--ca-file", str(ca), "--port", str(port)),
    )
    command = [sys.executable, "-m", "compliance.command", *words]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: process.poll() is not None or _answers(f"{address}/healthz"))
        assert process.poll() is None, "the dashboard ended by itself"
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def shown(folder: Path) -> Iterator[Shown]:
    """Everything together: a study of four closed rounds and an open one, two proposals."""
    stage = Stage(folder / "hub", tls=True)
    stage.run(ROUNDS, absent={2: "south.example"})
    stage.open_round()
    stage.answer("east.example")
    stage.settle()
    stage.more()
    stage.time.now = datetime.now(UTC).replace(microsecond=0)
    stage.beat(*SITES)
    about = {"site": "south.example", "reason": "inactive"}
    motion = stage.motion("member.suspended", about, "east.example")["id"]
    stage.rooms.ledger.issue_checkpoint("consortium")
    stage.witness("east.example", "north.example", log="consortium")
    alarm = {"log": stage.study, "rule": "own.forged", "at": stage.time.text()}
    told = {"states": {"supernode": "up", "alarmed": [alarm]}}
    stage.rooms.members.heartbeat("north.example", told)
    ca = folder / "hub" / "tls" / "ca.pem"
    with (
        hub_served(stage) as hub,
        dashboard_served(hub, ca, folder / "dashboard") as address,
    ):
        yield Shown(stage, address, motion)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own loopback address
            return bool(answer.status < 500)
    except OSError:
        return False


def _until(true: Any) -> None:
    pause = threading.Event()
    for _ in range(WAIT_SECONDS * 20):
        if true():
            return
        pause.wait(0.05)
    raise AssertionError(f"not within {WAIT_SECONDS} s")
