"""The hub's web application, and the process that serves it with its SuperLink."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol

import uvicorn
from fastapi import FastAPI

from compliance.errors import NotReady
from hub.api import (
    auth,
    counts,
    door,
    errors,
    intents,
    logs,
    motions,
    retention,
    sealed,
    sites,
    studies,
)
from hub.api.language import Language
from hub.api.limit import BodyLimit
from hub.services.presence import Presence
from hub.wiring import Rooms

PREFIX = "/api/v1"


class Supervisor(Protocol):
    """What serves Flower beside the API."""

    @property
    def gateway(self) -> Callable[..., Any]:
        """ASGI callable for `/v1/fleet`."""

    def start(self) -> None:
        """Start the SuperLink, register nodes, run studies."""

    def stop(self) -> None:
        """End every child."""

    def status(self) -> str:
        """`up`, or why not."""


def create_app(rooms: Rooms, supervisor: Supervisor | None = None) -> FastAPI:
    """Put the routes together; with a supervisor, also the fleet gateway."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        if supervisor is None:
            yield
            return
        supervisor.start()
        telling = asyncio.create_task(_tell(supervisor, Presence(rooms.settings.home)))
        try:
            yield
        finally:
            telling.cancel()
            supervisor.stop()

    app = FastAPI(title="Consilium hub", lifespan=life, docs_url=None, redoc_url=None,
                  openapi_url=None)  # fmt: skip
    app.state.rooms = rooms
    errors.install(app)
    app.add_middleware(BodyLimit, prefix=PREFIX)
    app.add_middleware(Language, prefix=PREFIX, knocked=lambda *who: rooms.members.knocked(*who))
    for module in (door, auth, sites, studies, counts, logs, sealed, motions, intents, retention):
        app.include_router(module.routes, prefix=PREFIX)
    if supervisor is not None:
        app.mount("/v1/fleet", supervisor.gateway)
    return app


async def _tell(supervisor: Supervisor, presence: Presence) -> None:
    last = ""
    while True:
        state = supervisor.status()
        if state != last:
            presence.tell(state)
            last = state
        await asyncio.sleep(0.2)


def serve(rooms: Rooms, supervisor: Supervisor | None) -> None:
    """Serve over TLS until ended.

    Raises:
        NotReady: the port is taken.
    """
    settings = rooms.settings
    port_is_free(settings.bind, settings.listen_port)
    uvicorn.run(
        create_app(rooms, supervisor),
        host=settings.bind,
        port=settings.listen_port,
        ssl_certfile=str(settings.tls / "server.pem"),
        ssl_keyfile=str(settings.tls / "server.key"),
        log_level="warning",
        server_header=False,
        timeout_keep_alive=75,
    )


def port_is_free(host: str, port: int) -> None:
    """Make sure that we can listen there.

    Raises:
        NotReady: another program does, or we may not.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NotReady(
                f"port {port} on {host} cannot be used ({error.strerror}).",
                "End the other program, or set another port in hub.toml.",
            ) from error
