"""The process that serves the dashboard: Streamlit as an application of ours, behind the gate.

Every Streamlit option that matters is set here; files and variables of the surroundings have no
say (see `settings.private_surroundings`).
"""

from __future__ import annotations

import logging
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
import uvicorn
from starlette.types import ASGIApp
from streamlit.web import bootstrap

from compliance.errors import NotReady
from dashboard import session
from dashboard.forms import Forms, silent
from dashboard.gate import AuthGate, SecurityHeaders, inline_script_hashes, safe_next
from dashboard.hub_client import GateClient, HubClient
from dashboard.settings import Settings

SCRIPT = Path(__file__).with_name("app.py")
MIB = 1 << 20
MESSAGE_MIB = 50


def options(settings: Settings) -> dict[str, Any]:
    """Every Streamlit option that decides about safety or looks; the reasons are in the guide."""
    return {
        "server.address": settings.bind,
        "server.port": settings.port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.runOnSave": False,
        "server.allowRunOnSave": False,
        "server.folderWatchList": [],
        "server.baseUrlPath": "",
        "server.allowedHosts": [urlsplit(settings.origin).hostname],
        "server.corsAllowedOrigins": [settings.origin],
        "server.enableCORS": True,
        "server.enableXsrfProtection": True,
        "server.enableAgentApi": False,
        "server.enableStaticServing": False,
        "server.scriptHealthCheckEnabled": False,
        "server.unsafeMetricsUserAttributes": [],
        "server.maxUploadSize": 20,
        "server.maxMessageSize": MESSAGE_MIB,
        "server.disconnectedSessionTTL": 120,
        "server.trustedUserHeaders": session.HEADERS,
        "server.showEmailPrompt": False,
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "client.toolbarMode": "viewer",
        "client.allowedOrigins": [],
        "browser.gatherUsageStats": False,
        "runner.magicEnabled": False,
        "runner.fastReruns": True,
        "global.developmentMode": False,
        "logger.level": "error",
        "theme.base": "light",
        "theme.primaryColor": "#1f5fd6",
        "theme.backgroundColor": "#ffffff",
        "theme.secondaryBackgroundColor": "#f3f5f9",
        "theme.textColor": "#111827",
        "theme.linkColor": "#1f5fd6",
        "theme.borderColor": "#d1d5db",
        "theme.showWidgetBorder": True,
        "theme.baseRadius": "0.4rem",
    }


def create_app(settings: Settings, script: Path = SCRIPT) -> ASGIApp:
    """Put gate, plain pages and Streamlit together; the options must be set before."""
    return guarded(
        create_pages(settings, script),
        settings=settings,
        gate_hub=GateClient(settings.hub_url, settings.ca_file),
        open_hub=lambda token: HubClient(settings.hub_url, settings.ca_file, lambda: token),
        script_hashes=script_hashes(),
    )


def create_pages(settings: Settings, script: Path) -> ASGIApp:
    """Streamlit with every option set, deaf to its surroundings; no gate stands before it yet."""
    bootstrap.load_config_options(options(settings))
    return st.App(script, secrets=session.handed_over(settings), on_script_error=_panel)


def script_hashes() -> list[str]:
    """The inline scripts that Streamlit's installed page has."""
    return inline_script_hashes(Path(st.__file__).with_name("static") / "index.html")


def guarded(
    pages: ASGIApp,
    *,
    settings: Settings,
    gate_hub: GateClient,
    open_hub: Callable[[str | None], HubClient],
    script_hashes: list[str],
    clock: Callable[[], float] = time.monotonic,
) -> ASGIApp:
    """Put the gate and its plain pages in front of the pages."""
    gates: list[AuthGate] = []
    forms = Forms(
        settings=settings,
        open_hub=open_hub,
        gate_hub=gate_hub,
        safe_next=safe_next,
        forget=lambda token: gates[0].forget(token),
    )
    gates.append(
        AuthGate(
            pages,
            forms=forms.app(),
            silent=silent,
            settings=settings,
            hub=gate_hub,
            clock=clock,
        )
    )
    return SecurityHeaders(gates[0], settings=settings, script_hashes=script_hashes)


def serve(settings: Settings, ready: Callable[[], None]) -> None:
    """Serve until ended; the hub may come later.

    Raises:
        NotReady: the port is taken, or the hub's certificate cannot be read.
    """
    with open_door(settings.bind, settings.port) as door:
        server = server_of(create_app(settings))
        ready()
        server.run([door])


def server_of(app: ASGIApp) -> uvicorn.Server:
    """The server of this process; it writes no addresses down, and ends when asked to."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=MESSAGE_MIB * MIB,
        proxy_headers=False,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def open_door(host: str, port: int) -> socket.socket:
    """Listen before anything else is done.

    Raises:
        NotReady: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen(256)
    except OSError as error:
        door.close()
        raise NotReady(
            f"port {port} on {host} cannot be used ({error.strerror}).",
            "End the other program, or name another with --port.",
        ) from error
    return door


def _panel(error: Exception) -> bool:
    """Show a number instead of a traceback; the log has both."""
    number = secrets.token_hex(4)
    logging.getLogger("consilium.dashboard").error("page failed, %s", number, exc_info=error)
    st.error(f"This page could not be drawn. Reload it; if it happens again, report {number}.")
    return True
