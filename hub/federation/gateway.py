"""The gateway: ten fleet names of Flower, for active members, to loopback; nothing else.

Flower's Control, Fleet and Runtime APIs share one port, and Control has no login. Whatever is not a
POST to one of the ten names by a member's key gets the same 404. A plain ASGI callable.

Source: design/federation.md §2.2.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from hub.federation.ring import Bell
from hub.federation.superlink import Loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PREFIX = "/v1/fleet/"
PULL = "pull-messages"
NAMES = frozenset(
    {
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        PULL,
        "push-messages",
        "get-run",
        "get-fab",
        "push-object",
        "pull-object",
        "confirm-message-received",
    }
)
KEY = b"flwr-public-key"
HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade", b"host", b"content-length"}
)
LARGEST = 8 << 20
AT_ONCE = 20
HELD_SECONDS = 20.0
ASK_AGAIN = (0.3, 2.0)
ASKED_A_SECOND = 25
"""Questions to the SuperLink on behalf of all that wait, where the bell is heard: with a hundred
hospitals each is asked for every four seconds, and at once when an order was pushed."""
LINES = 16
"""Connections to the SuperLink: the client looks at every one of them for each request."""
ALLOWED_SECONDS = 30.0

log = logging.getLogger("consilium.gateway")


Moved = Callable[[str, str, int, int], None]


class Vanished(Exception):
    """The client left before it had asked."""


@dataclass(frozen=True)
class Asked:
    """One request that may pass."""

    name: str
    key: str
    headers: list[tuple[bytes, bytes]]
    body: bytes


class Gateway:
    """ASGI application for `/v1/fleet/…`.

    Args:
        place: returns where the SuperLink listens.
        keys: returns the Flower keys (OpenSSH text) of all active members.
        held: seconds for which an empty `pull-messages` is held.
        bell: path on which a ServerApp rings when it has pushed an order, or None.
        moved: told each request that passed: key, fleet name, bytes asked and answered.
    """

    def __init__(
        self,
        *,
        place: Callable[[], Loopback],
        keys: Callable[[], Iterable[str]],
        held: float = HELD_SECONDS,
        bell: Path | None = None,
        moved: Moved | None = None,
    ) -> None:
        self._moved = moved
        self._bell = Bell(bell) if bell is not None else None
        self._place, self._keys, self._held = place, keys, held
        self._allowed: frozenset[str] = frozenset()
        self._read_at = float("-inf")
        self._busy: Counter[str] = Counter()
        self._waiting = 0
        self._lines = asyncio.Semaphore(LINES)
        self._client: httpx.AsyncClient | None = None
        self._of: Loopback | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        began, name = time.monotonic(), allowed_name(scope)
        status, body = 404, b""
        headers: list[tuple[bytes, bytes]] = []
        if name is not None:
            with contextlib.suppress(Vanished):
                status, headers, body = await self._answer(scope, name, receive)
        log.info(
            "%s %s %d %d bytes %.0f ms",
            scope["method"],
            name or "-",
            status,
            len(body),
            (time.monotonic() - began) * 1000,
        )
        headers = [*headers, (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def close(self) -> None:
        """Close the connections to the SuperLink, and take the bell down."""
        if self._bell is not None:
            self._bell.take_down()
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def forget(self) -> None:
        """Read the members' keys again at the next request."""
        self._read_at = float("-inf")

    async def _answer(
        self, scope: Scope, name: str, receive: Receive
    ) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
        key = key_of(scope["headers"])
        if key is None or key not in await self._active():
            return 404, [], b""
        if self._busy[key] >= AT_ONCE:
            return 503, [(b"retry-after", b"1")], b""
        self._busy[key] += 1
        try:
            body = await _read_body(receive)
            if body is None:
                return 413, [], b""
            headers = [pair for pair in scope["headers"] if pair[0].lower() not in HOP]
            asked = Asked(name, key, headers, body)
            found = await self._held_until_something(asked, receive)
        except httpx.HTTPError:
            return 503, [(b"retry-after", b"1")], b""
        finally:
            self._busy[key] -= 1
        if self._moved is not None:
            self._moved(key, name, len(body), len(found.content))
        kept = [pair for pair in found.headers.raw if pair[0].lower() not in HOP]
        return found.status_code, kept, found.content

    async def _held_until_something(self, asked: Asked, receive: Receive) -> httpx.Response:
        """Ask; while a pull is empty, ask again until there is a message or time is up."""
        found = await self._ask(asked)
        if asked.name != PULL:
            return found
        gone = asyncio.ensure_future(_gone(receive))
        if self._bell is not None:
            self._bell.hang()
        end, pause = time.monotonic() + self._held, ASK_AGAIN[0]
        self._waiting += 1
        try:
            while is_empty(found) and time.monotonic() < end and not gone.done():
                await self._wait(gone, min(self._at_least(pause), end - time.monotonic()))
                pause = min(pause * 1.3, ASK_AGAIN[1])
                if gone.done():
                    break  # whoever left must not take a message away
                if asked.key not in await self._active():
                    break  # shut out while it was waiting
                found = await self._ask(asked)
        finally:
            self._waiting -= 1
            gone.cancel()
        return found

    def _at_least(self, pause: float) -> float:
        """A longer pause where many wait; without a bell nobody would wake them."""
        return pause if self._bell is None else max(pause, self._waiting / ASKED_A_SECOND)

    async def _wait(self, gone: asyncio.Future[None], seconds: float) -> None:
        """Wait for a while, for the bell, or until the client is gone."""
        if self._bell is None:
            await asyncio.wait({gone}, timeout=seconds)
            return
        rung = asyncio.ensure_future(self._bell.heard())
        await asyncio.wait({gone, rung}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        rung.cancel()

    async def _ask(self, asked: Asked) -> httpx.Response:
        place = self._place()
        if self._client is None or self._of != place:
            await self.close()
            self._client, self._of = client_of(place), place
        url = f"https://{place.address}{PREFIX}{asked.name}"
        async with self._lines:
            return await self._client.post(url, content=asked.body, headers=asked.headers)

    async def _active(self) -> frozenset[str]:
        if time.monotonic() - self._read_at > ALLOWED_SECONDS:
            told = await asyncio.to_thread(lambda: list(self._keys()))
            self._allowed = frozenset(filter(None, map(canonical_key, told)))
            self._read_at = time.monotonic()
        return self._allowed


def allowed_name(scope: Scope) -> str | None:
    """The fleet name that was asked, or None: the raw path decides, nothing is decoded."""
    raw = scope.get("raw_path") or str(scope["path"]).encode()
    path = raw.split(b"?", 1)[0].decode("latin-1")
    if scope["method"] != "POST" or scope.get("query_string") or not path.startswith(PREFIX):
        return None
    name = path.removeprefix(PREFIX)
    return name if name in NAMES else None


def key_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The node key that a request claims, in one spelling; Flower checks the signature."""
    found = [value for name, value in headers if name.lower() == KEY]
    return _read_key(found[0]) if len(found) == 1 else None


@lru_cache(maxsize=1024)
def _read_key(told: bytes) -> str | None:
    """Read a key from a header; a hospital sends the same one with each of its requests."""
    try:
        pem = base64.b64decode(told, validate=True)
        key = serialization.load_pem_public_key(pem)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def canonical_key(openssh: str) -> str | None:
    """The same spelling for a key that a member registered."""
    try:
        key = serialization.load_ssh_public_key(openssh.encode())
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def is_empty(response: httpx.Response) -> bool:
    """Whether a pull brought no message: an empty protobuf has no bytes."""
    return response.status_code == httpx.codes.OK and not response.content


def answers(place: Loopback) -> bool:
    """Whether the SuperLink answers over verified TLS."""
    try:
        with httpx.Client(verify=_tls(place.tls), trust_env=False, timeout=2) as client:
            return client.get(f"https://{place.address}/health").is_success
    except httpx.HTTPError:
        return False


def client_of(place: Loopback) -> httpx.AsyncClient:
    """A client that trusts the hub's own authority and no proxy."""
    limits = httpx.Limits(max_connections=LINES, max_keepalive_connections=LINES)
    return httpx.AsyncClient(verify=_tls(place.tls), trust_env=False, timeout=60, limits=limits)


def _tls(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / "ca.pem"))


async def _read_body(receive: Receive) -> bytes | None:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Vanished
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST:
            return None
        more = message.get("more_body", False)
    return b"".join(parts)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
