"""The supervisor of Flower at the hub: app source, SuperLink, node keys, one run per open study.

One thread looks every half second at what ought to be and mends the difference; nothing here is
remembered but in the database, so a killed hub goes on where it was.

Source: design/federation.md §2.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable

from compliance.errors import ConsiliumError
from hub.federation import bundle
from hub.federation.app_source import AppSource
from hub.federation.control import Control
from hub.federation.gateway import Gateway, answers, canonical_key
from hub.federation.ring import bell_path
from hub.federation.superlink import Loopback, SuperLink
from hub.settings import process_environment
from hub.wiring import Rooms

LOOK_SECONDS = 0.5
BACKOFF = (1, 2, 4, 8, 15, 30)
PATIENT = 300
TOGETHER = 50
"""Nodes that one process registers; a hundred have two of them."""
STARTING, UP, ENDED = "starting", "up", "ended"


class FlowerSupervisor:
    """Keeps Flower running for one hub.

    Args:
        rooms: the hub's parts.
        superlink: makes a SuperLink that is not started yet.
        source: hands out the bundle.
        say: one line for whoever looks on.
    """

    def __init__(
        self,
        *,
        rooms: Rooms,
        superlink: SuperLink,
        source: AppSource,
        say: Callable[[str], None],
    ) -> None:
        self._rooms, self._superlink, self._source, self._say = rooms, superlink, source, say
        self._control = Control(lambda: superlink.environment)
        self._gateway = Gateway(
            place=lambda: superlink.place,
            keys=lambda: rooms.members.flower_keys().values(),
            bell=bell_path(rooms.settings.home),
            moved=self._carried,
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="flower", daemon=True)
        self._state = STARTING
        self._registered: set[str] = set()
        self._active: dict[str, str] = {}
        self._sites: dict[str | None, str] = {}
        self._told: dict[str, float] = {}

    @property
    def gateway(self) -> Gateway:
        """ASGI callable for `/v1/fleet`."""
        return self._gateway

    def status(self) -> str:
        """`starting`, `up`, or why not."""
        return self._state

    def start(self) -> None:
        """Begin; returns at once."""
        self._source.start()
        self._thread.start()

    def stop(self) -> None:
        """End every child."""
        self._over.set()
        self._superlink.stop()
        self._source.stop()
        self._thread.join(timeout=20)
        self._state = ENDED

    def _keep(self) -> None:
        failures = 0
        while not self._over.is_set():
            try:
                if not self._superlink.running():
                    self._begin()
                    failures = 0
                self._tend()
                self._state = UP
            except ConsiliumError as error:
                self._state = str(error)
                self._tell(str(error))
                self._over.wait(BACKOFF[min(failures, len(BACKOFF) - 1)])
                failures += 1
            self._over.wait(LOOK_SECONDS)

    def _begin(self) -> None:
        """Start the SuperLink; nodes and runs of the one before are lost with it."""
        self._state = STARTING
        self._superlink.start()
        self._registered.clear()
        self._rooms.runs.lost()

    def _tend(self) -> None:
        """Register who is new, shut the gateway to who is no active member any more, start runs.

        Flower never takes back a key that was unregistered once, so the node of a suspended
        hospital stays known there: nothing is sent to it, and no request of it passes the gateway.
        """
        active = self._rooms.members.flower_keys()
        if active != self._active:
            self._gateway.forget()
            self._active = active
            self._sites = {canonical_key(public): site for site, public in active.items()}
        fresh = [site for site in active if site not in self._registered][:TOGETHER]
        if fresh:
            numbers = self._control.register_nodes([active[site] for site in fresh])
            for site, number in zip(fresh, numbers, strict=False):
                self._rooms.members.record_node(site, number)
                self._registered.add(site)
            self._gateway.forget()
        for study in self._rooms.runs.needed():
            self._rooms.runs.started(study, self._control.start_run(study))

    def _carried(self, key: str, name: str, asked: int, answered: int) -> None:
        site = self._sites.get(key)
        if site is not None:
            self._rooms.transfers.moved(site, name, asked, answered)

    def _tell(self, words: str) -> None:
        now = time.monotonic()
        if now - self._told.get(words, -PATIENT) >= PATIENT:
            self._told[words] = now
            self._say(words)


def build_supervisor(rooms: Rooms, say: Callable[[str], None]) -> FlowerSupervisor:
    """Put the supervisor together.

    Raises:
        NotReady: no bundle is signed yet.
        Malformed: the bundle is not the one that was signed.
    """
    home = rooms.settings.home
    source = AppSource(bundle.read(home / "bundle"), secrets.token_hex(16))
    superlink = SuperLink(
        folder=home / "flower",
        place=Loopback(_free_port(), rooms.settings.tls, source.url),
        environment=process_environment() | {"CONSILIUM_HOME": str(home)},
        answers=answers,
    )
    return FlowerSupervisor(rooms=rooms, superlink=superlink, source=source, say=say)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
