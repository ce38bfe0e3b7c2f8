"""`consilium site console`: the steward's pages in a browser, on this machine only."""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from site_node.console.app import create_app
from site_node.console.desk import Desk
from site_node.console.door import Door
from site_node.console.patience import Patience
from site_node.options import AsJson, Home
from site_node.settings import load_settings, process_environment
from site_node.wiring import open_site

PORT = 8502
NEEDED = ("streamlit", "dashboard")
SECONDS = 1.0


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(console))


def console(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on 127.0.0.1.")] = PORT,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Open the steward's pages in a browser of this machine; prints a link that works once.

    Ends with Ctrl-C, or by itself after 60 minutes without a click. It asks a running
    `consilium site serve`, or answers by itself.

    Example: consilium site console --home /srv/consilium
    """
    _check_extra()
    folder = load_settings(home, strict=False).home.resolve()
    door = door_of(folder)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the pages end with us
    door.unlock()
    try:
        raise typer.Exit(_follow(door, _words(folder, port, as_json=as_json)))
    finally:
        door.stop()


def door_of(home: Path) -> Door:
    """The console's own side of a home, still shut."""
    desk = Desk(open_rooms=functools.partial(open_site, home), patience=Patience(time.monotonic))
    return Door(home, create_app(desk), functools.partial(print, file=sys.stderr, flush=True))


def _check_extra() -> None:
    if any(find_spec(name) is None for name in NEEDED):
        raise NotReady(
            "the console needs the dashboard extra, which is not installed here.",
            'Run: pip install "consilium-federation[site,dashboard]"; or use the commands, which '
            "do all that the console does.",
        )


def _words(home: Path, port: int, *, as_json: bool) -> list[str]:
    program = [sys.executable, "-m", "compliance.command", "dashboard", "serve", "--site"]
    words = [*program, "--home", str(home), "--port", str(port)]
    return [*words, "--json"] if as_json else words


def _follow(door: Door, words: list[str]) -> int:
    """Run the pages until they end; hold the door whenever nobody else does."""
    child = subprocess.Popen(words, env=process_environment())
    try:
        while True:
            try:
                return max(child.wait(SECONDS), 0)
            except subprocess.TimeoutExpired:
                door.tend(needed=True)
    finally:
        child.terminate()
        child.wait()
