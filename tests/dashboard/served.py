"""A real hub over TLS on a free loopback port, for clients that need a socket."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from hub.main import create_app
from tests.house import House

PASSWORD = "a long enough password"


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Served:
    """The hub of a house behind TLS; while it is `away`, only its proxy answers."""

    def __init__(self, house: House) -> None:
        self.house, self.port = house, free_port()
        self.ca = house.hub.ca_path
        self.away = False
        self._app = create_app(house.hub)
        self._server: Any = None
        self._thread = threading.Thread()

    @property
    def address(self) -> str:
        """Where it answers."""
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Answer from now on."""
        tls = self.house.hub.settings.tls
        config = uvicorn.Config(
            self._answer,
            port=self.port,
            log_level="critical",
            ws="none",
            interface="asgi3",
            ssl_certfile=str(tls / "server.pem"),
            ssl_keyfile=str(tls / "server.key"),
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        ready = threading.Event()
        while not self._server.started:
            assert self._thread.is_alive(), "the hub did not start"
            ready.wait(0.01)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.away and scope["type"] == "http":
            await send({"type": "http.response.start", "status": 502, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Gateway"})
            return
        await self._app(scope, receive, send)

    def stop(self) -> None:
        """Answer no more."""
        self._server.should_exit = True
        self._thread.join()


@contextlib.contextmanager
def served(house: House) -> Iterator[Served]:
    """Serve for the length of a test."""
    it = Served(house)
    it.start()
    try:
        yield it
    finally:
        it.stop()
