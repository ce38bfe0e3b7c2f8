"""The gate and its plain pages in front of an echo, with a real hub behind, all in one process."""

from __future__ import annotations

import asyncio
import json
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compliance.canonical import sha256_id
from compliance.command import main
from compliance.errors import Refused
from dashboard.hub_client import GateClient, HubClient
from dashboard.serve import guarded
from dashboard.settings import Settings
from hub.main import create_app
from hub.settings import load_settings as load_hub
from hub.wiring import Rooms

with warnings.catch_warnings():  # typer 0.20 imports names that click 8.5 calls old
    warnings.simplefilter("ignore", DeprecationWarning)
    import hub.cli  # noqa: F401 - loaded once, here

PASSWORD = "a long enough password"
HUB = "https://127.0.0.1:8443"


@dataclass
class Time:
    """One clock for the hub and the gate."""

    now: datetime = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time now, for the hub."""
        return self.now

    def forward(self, **span: float) -> None:
        """Let time pass."""
        self.now += timedelta(**span)


class Wire(httpx.BaseTransport):
    """Carries requests to the hub's application, or nowhere when the hub is silent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.silent = httpx.ASGITransport(app, raise_app_exceptions=False), False
        self.asked: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask and wait for the whole answer."""
        return asyncio.run(self._ask(request))

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        copy = httpx.Request(request.method, request.url, headers=request.headers, content=body)
        answer = await self.carry(copy)
        return httpx.Response(
            answer.status_code, headers=answer.headers, content=await answer.aread()
        )

    async def carry(self, request: httpx.Request) -> httpx.Response:
        """Ask, or fail as a dead line does."""
        if self.silent:
            raise httpx.ConnectError("nobody answers")
        self.asked.append(request.url.path)
        return await self.app.handle_async_request(request)


class AsyncWire(httpx.AsyncBaseTransport):
    """The same line for those who wait for many at once."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask."""
        return await self._wire.carry(request)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands where Streamlit stands and tells which of our headers reached it."""
    seen = json.dumps(
        [
            [name.decode(), value.decode()]
            for name, value in scope.get("headers", [])
            if name.lower().startswith(b"x-consilium")
        ]
    )
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": seen})
        await send({"type": "websocket.close", "code": 1000})
    elif scope["type"] == "http":
        kind = (b"content-type", b"application/json")
        await send({"type": "http.response.start", "status": 200, "headers": [kind]})
        await send({"type": "http.response.body", "body": seen.encode()})


class Gated:
    """A hub, a dashboard, and browsers.

    Args:
        rooms: the real hub.
        time: its clock.
        home: folder of the dashboard.
        public_url: address that browsers use.
    """

    def __init__(self, rooms: Rooms, time: Time, home: Path, public_url: str = "") -> None:
        self.rooms, self.time = rooms, time
        self._tokens: dict[str, str] = {}
        self.settings = Settings(home=home, hub_url=HUB, public_url=public_url)
        self.wire = Wire(create_app(rooms))
        self.app = guarded(
            echo,
            settings=self.settings,
            gate_hub=GateClient(HUB, transport=AsyncWire(self.wire)),
            open_hub=lambda token: HubClient(HUB, None, lambda: token, transport=self.wire),
            script_hashes=["abc="],
            clock=lambda: time.now.timestamp(),
        )

    def enrol(self, name: str, role: str, site: str = "") -> None:
        """Give a person an account with the password of all tests."""
        self.rooms.accounts.enrol(self.rooms.accounts.add(name, role, site), PASSWORD)

    def browser(self) -> Browser:
        """A browser that nobody signed in with."""
        return Browser(self)

    def signed_in(self, name: str, *, anew: bool = False) -> Browser:
        """A browser in which this person has signed in; the session is shared unless `anew`."""
        browser, cookie = self.browser(), self.settings.cookie
        try:
            if not anew:
                self.rooms.accounts.person(self._tokens.get(name, ""))
                browser.client.cookies.set(cookie, self._tokens[name], domain="127.0.0.1")
                return browser
        except Refused:
            pass
        assert browser.post("/login", name=name, password=PASSWORD).status_code == 303
        self._tokens[name] = browser.token
        return browser


class Browser:
    """Sends what a browser sends: cookies, Origin on forms, no redirect followed."""

    def __init__(self, gated: Gated) -> None:
        self._gated, self.origin = gated, gated.settings.origin
        self.client = httpx.Client(transport=Wire(gated.app), base_url=self.origin)

    @property
    def token(self) -> str:
        """The session token in the cookie."""
        return str(self.client.cookies[self._gated.settings.cookie])

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Open a page."""
        return self.client.get(path, headers=headers)

    def post(self, path: str, origin: str | None = "ours", **fields: str) -> httpx.Response:
        """Send a form, from our own page unless said otherwise."""
        said = self.origin if origin == "ours" else origin
        headers = {"Origin": said} if said is not None else {}
        return self.client.post(path, data=fields, headers=headers)

    def open_socket(self, origin: str | None = "ours", **headers: str) -> list[list[str]]:
        """Open the live connection; returns our headers as Streamlit saw them."""
        said = self.origin if origin == "ours" else origin
        told = headers | ({"Origin": said} if said is not None else {})
        request = self.client.build_request("GET", "/_stcore/stream", headers=told)
        sent = asyncio.run(_handshake(self._gated.app, request))
        if sent[0]["type"] == "websocket.close":
            raise Shut(int(sent[0]["code"]))
        seen: list[list[str]] = json.loads(sent[1]["text"])
        return seen

    def prepare(self, action: str, subject: str, body: dict[str, Any] | None = None) -> str:
        """Prepare an act as a view does; returns its id."""
        hub = HubClient(HUB, None, lambda: self.token, transport=self._gated.wire)
        return str(hub.prepare(action, subject, body)["id"])


class Shut(Exception):
    """A live connection was refused in its handshake."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def _handshake(
    app: ASGIApp, request: httpx.Request, kind: str = "websocket.connect"
) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": kind}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "websocket",
        "path": request.url.path,
        "query_string": request.url.query,
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "subprotocols": [],
    }
    await app(scope, receive, send)
    return sent


def words(answer: httpx.Response) -> str:
    """What a person reads on a page."""
    body = re.sub(r"<style>.*?</style>", " ", answer.text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


def make_rooms(home: Path, clock: Callable[[], datetime]) -> Rooms:
    """A hub that was initialised by its own command."""
    assert main(["hub", "init", "--home", str(home), "--json"]) == 0
    (home / "bundle").mkdir(exist_ok=True)
    signed = {"bundle_sha256": sha256_id(b"fab"), "verifications": [], "signers": {"a": "ssh"}}
    (home / "bundle" / "signed.json").write_text(json.dumps(signed))
    return Rooms(load_hub(home), clock=clock)
