"""Who may use the console: whoever opened the one-time link, from this machine, while it lasts.

The session opens no lock of the hospital: each act asks for the passphrase of its key, on a page of
its own. What stands here keeps other programs, other sites and other names of this machine out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.gate import OURS, SHUT, SIGNED_OUT, STREAMLIT_HEALTH, without_ours
from dashboard.settings import Settings

LINK_SECONDS = 600.0
IDLE_SECONDS = 3600.0
ENTER, ALIVE, STRANGER = "/enter", "/healthz", "/stranger"
ACTS = ("/sign", "/refuse", "/withdraw", "/release", "/object", "/leave")
READING = ("GET", "HEAD")
BYTES = 32


class Keeper:
    """Knows the one-time link, the sessions that came by it, and the last click; in memory only.

    Args:
        clock: seconds that only grow.
        draw: makes a word of so many random bytes that nobody can guess.
    """

    def __init__(self, *, clock: Callable[[], float], draw: Callable[[int], str]) -> None:
        self._clock, self._draw = clock, draw
        self._link, self._until = "", 0.0
        self._sessions: set[str] = set()
        self._last = clock()
        self.closed = False

    def new_key(self) -> str:
        """A new key for the link; an older one opens nothing any more."""
        key = self._draw(BYTES)
        self._link, self._until = _hash(key), self._clock() + LINK_SECONDS
        return key

    def redeem(self, key: str) -> str | None:
        """A new session for a key that was not used and is not too old; else None."""
        if not self._link or _hash(key) != self._link or self._clock() > self._until:
            return None
        self._link = ""
        token = self._draw(BYTES)
        self._sessions.add(_hash(token))
        self.touch()
        return token

    def knows(self, token: str | None) -> bool:
        """Whether this session came by the link."""
        return token is not None and not self.closed and _hash(token) in self._sessions

    def touch(self) -> None:
        """Somebody is there."""
        self._last = self._clock()

    def close(self) -> None:
        """End every session."""
        self._sessions.clear()
        self.closed = True

    def over(self) -> bool:
        """Whether the console may end: it was closed, or nobody was there for an hour."""
        return self.closed or self._clock() - self._last >= IDLE_SECONDS


class ConsoleGate:
    """Lets the holder of the session through to the pages; everybody else sees one plain page.

    Args:
        pages: the Streamlit application.
        forms: the plain pages: the link, and every act.
        settings: origin and cookie of this console.
        keeper: knows the sessions.
    """

    def __init__(
        self, pages: ASGIApp, *, forms: ASGIApp, settings: Settings, keeper: Keeper
    ) -> None:
        self._pages, self._forms, self._keeper = pages, forms, keeper
        self._settings, self._host = settings, urlsplit(settings.origin).netloc

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide about one request."""
        if scope["type"] not in ("http", "websocket"):
            return await self._pages(scope, receive, send)
        bare: Scope = {**scope, "headers": without_ours(scope["headers"])}
        if scope["type"] == "websocket":
            return await self._websocket(bare, receive, send)
        return await self._http(bare, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not self._named_rightly(scope):
            return await self._forms({**scope, "path": STRANGER, "method": "GET"}, receive, send)
        if path in (ENTER, ALIVE):
            return await self._forms(scope, receive, send)
        if path == STREAMLIT_HEALTH:
            return await self._pages(scope, receive, send)
        token = self._token(scope)
        if not self._keeper.knows(token):
            return await self._forms({**scope, "path": STRANGER, "method": "GET"}, receive, send)
        self._keeper.touch()
        if path in ACTS or path.startswith(SHUT) or scope["method"] not in READING:
            return await self._forms(scope, receive, send)
        return await self._pages(_named(scope, str(token)), receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        ours = Headers(scope=scope).getlist("origin") == [self._settings.origin]
        token = self._token(scope)
        if not (ours and self._named_rightly(scope) and self._keeper.knows(token)):
            await receive()
            return await send({"type": "websocket.close", "code": SIGNED_OUT})

        async def noticed() -> Message:
            message = await receive()
            if message["type"] == "websocket.receive":
                self._keeper.touch()
            return message

        return await self._pages(_named(scope, str(token)), noticed, send)

    def _named_rightly(self, scope: Scope) -> bool:
        """Another name of this machine may be a stranger's: a name server can point it here."""
        return Headers(scope=scope).getlist("host") == [self._host]

    def _token(self, scope: Scope) -> str | None:
        return HTTPConnection(scope).cookies.get(self._settings.cookie)


def _named(scope: Scope, token: str) -> Scope:
    """Tell Streamlit one session from another: a lost connection is resumed by the same only."""
    told = (OURS + b"user", _hash(token)[:16].encode())
    return {**scope, "headers": [*scope["headers"], told]}


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
