"""The process of the console: the same pages and options as the dashboard, behind another gate."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from dashboard.console_forms import ConsoleForms
from dashboard.console_gate import ENTER, ConsoleGate, Keeper
from dashboard.gate import SecurityHeaders
from dashboard.serve import create_pages, open_door, script_hashes, server_of
from dashboard.settings import Settings
from dashboard.site_client import open_site

FRAME = Path(__file__).with_name("console") / "frame.py"
LOOK_SECONDS = 1.0


def guarded_console(
    pages: ASGIApp, *, settings: Settings, keeper: Keeper, script_hashes: list[str]
) -> ASGIApp:
    """Put the gate and its plain pages in front of the pages."""
    forms = ConsoleForms(settings=settings, keeper=keeper, open_site=lambda: open_site(settings))
    gate = ConsoleGate(pages, forms=forms.app(), settings=settings, keeper=keeper)
    return SecurityHeaders(gate, settings=settings, script_hashes=script_hashes)


def serve_console(settings: Settings, ready: Callable[[dict[str, str]], None]) -> None:
    """Serve until ended, closed by its reader, or idle for an hour; hands the link to `ready`.

    Raises:
        NotReady: the port is taken.
    """
    keeper = Keeper(clock=time.monotonic, draw=secrets.token_urlsafe)
    with open_door(settings.bind, settings.port) as door:
        pages = create_pages(settings, FRAME)
        app = guarded_console(
            pages, settings=settings, keeper=keeper, script_hashes=script_hashes()
        )
        server = server_of(app)
        link = f"{settings.origin}{ENTER}?key={keeper.new_key()}"
        ready({"address": settings.origin, "link": link})
        watch = threading.Thread(
            target=end_when_over, args=(keeper, server, time.sleep), daemon=True
        )
        watch.start()
        server.run([door])


def end_when_over(keeper: Keeper, server: uvicorn.Server, pause: Callable[[float], None]) -> None:
    """End the server as soon as nobody needs it."""
    while not keeper.over():
        pause(LOOK_SECONDS)
    server.should_exit = True
