"""Who is in: every HTTP request and WebSocket handshake passes here, and nothing else decides.

It fails closed: where the hub cannot be asked, nobody comes in.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compliance.errors import ConsiliumError, Refused
from dashboard.hub_client import GateClient
from dashboard.settings import Settings

OPEN = frozenset({"/login", "/enrol", "/healthz"})
SIGNED_IN = frozenset({"/logout", "/confirm"})
TICKETS = "/ticket/"
SHUT = ("/_stcore/metrics", "/_stcore/agent")
STREAMLIT_HEALTH = "/_stcore/health"
OURS = b"x-consilium-"
CACHE_SECONDS = 15.0
MOST_KNOWN = 1000
SIGNED_OUT, TRY_AGAIN = 4401, 1013
_PATH = re.compile(r"/([a-z][a-z0-9_-]{0,40})?")
_QUERY = re.compile(r"[A-Za-z0-9_.,:=&%+~-]{0,500}")

RawHeaders = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Known:
    """What the hub said about a token, and until when that is believed."""

    headers: tuple[tuple[bytes, bytes], ...]
    until: float


class AuthGate:
    """Lets signed-in people through to the pages, and everybody to the plain forms.

    Args:
        pages: the Streamlit application.
        forms: the plain pages: sign-in, enrolment, confirmation, tickets.
        silent: answers when the hub cannot be asked.
        settings: origin and cookie of this dashboard.
        hub: asks who holds a token.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        pages: ASGIApp,
        *,
        forms: ASGIApp,
        silent: ASGIApp,
        settings: Settings,
        hub: GateClient,
        clock: Callable[[], float],
    ) -> None:
        self._pages, self._forms, self._silent = pages, forms, silent
        self._settings, self._hub, self._clock = settings, hub, clock
        self._known: dict[str, Known] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide about one request."""
        if scope["type"] not in ("http", "websocket"):
            return await self._pages(scope, receive, send)
        bare: Scope = {**scope, "headers": without_ours(scope["headers"])}
        if scope["type"] == "websocket":
            return await self._websocket(bare, receive, send)
        if scope["path"] in OPEN:
            return await self._forms(bare, receive, send)
        if scope["path"] == STREAMLIT_HEALTH:
            return await self._pages(bare, receive, send)
        return await self._http(bare, receive, send)

    def forget(self, token: str) -> None:
        """Believe nothing about a token any more; its session was ended here."""
        self._known.pop(_hash(token), None)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            told = await self._who(scope)
        except Refused:
            there = "/login" + next_query(scope)
            return await RedirectResponse(there, 303)(scope, receive, send)
        except ConsiliumError:
            return await self._silent(scope, receive, send)
        if scope["path"] in SIGNED_IN or scope["path"].startswith((TICKETS, *SHUT)):
            return await self._forms(scope, receive, send)
        return await self._pages(_named(scope, told), receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Headers(scope=scope).getlist("origin") != [self._settings.origin]:
            return await _close(receive, send, SIGNED_OUT)
        try:
            told = await self._who(scope)
        except Refused:
            return await _close(receive, send, SIGNED_OUT)
        except ConsiliumError:
            return await _close(receive, send, TRY_AGAIN)
        return await self._pages(_named(scope, told), receive, send)

    async def _who(self, scope: Scope) -> RawHeaders:
        connection = HTTPConnection(scope)
        token = connection.cookies.get(self._settings.cookie)
        if not token or not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", token):
            raise Refused("auth.session", sentence="Sign in first.")
        known = self._known.get(_hash(token))
        if known is None or known.until <= self._clock():
            known = await self._ask(token, connection.headers)
        return list(known.headers)

    async def _ask(self, token: str, headers: Headers) -> Known:
        background = headers.get("sec-fetch-mode", "navigate") != "navigate"
        self._known.pop(_hash(token), None)
        person = await self._hub.me(token, background=background)
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        known = Known(tuple(identity_headers(person)), self._clock() + CACHE_SECONDS)
        self._known[_hash(token)] = known
        return known


class SecurityHeaders:
    """Puts the same strict headers on every answer.

    Args:
        app: what answers.
        settings: origin of this dashboard.
        script_hashes: hashes of the inline scripts that Streamlit's own page has.
    """

    def __init__(self, app: ASGIApp, *, settings: Settings, script_hashes: list[str]) -> None:
        self._app = app
        self._headers = fixed_headers(settings, script_hashes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the headers added."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
                if "text/html" in headers.get("content-type", "text/html"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        return await self._app(scope, receive, with_headers)


def fixed_headers(settings: Settings, script_hashes: list[str]) -> dict[str, str]:
    """The headers of every answer; inline scripts run only by their hash."""
    sockets = settings.origin.replace("http", "ws", 1)
    scripts = " ".join(f"'sha256-{one}'" for one in script_hashes)
    policy = (
        f"default-src 'self'; script-src 'self' {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; "
        f"connect-src 'self' {sockets}; worker-src 'self' blob:; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
    )
    fixed = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
    }
    if settings.secure:
        fixed["Strict-Transport-Security"] = "max-age=31536000"
    return fixed


def inline_script_hashes(page: Path) -> list[str]:
    """SHA-256 of each inline script of the installed page, as a content policy names it."""
    text = page.read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    return [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts]


def without_ours(headers: RawHeaders) -> RawHeaders:
    """Drop what only the gate may say; a visitor cannot name himself."""
    return [(name, value) for name, value in headers if not name.lower().startswith(OURS)]


def identity_headers(person: dict[str, Any]) -> RawHeaders:
    """Who came in, as percent-encoded ASCII: other bytes would break the handshake."""
    roles = ",".join(sorted({str(row["role"]) for row in person["roles"]}))
    values = {"user": person["name"], "roles": roles, "site": person.get("site") or ""}
    return [
        (OURS + name.encode(), quote(str(value), safe=",").encode())
        for name, value in values.items()
    ]


def safe_next(text: str) -> str:
    """Where to go on: a page of ours, or the first one; never another host."""
    parts = urlsplit(text) if text.startswith("/") and "\\" not in text else urlsplit("/")
    plain = not parts.scheme and not parts.netloc and _PATH.fullmatch(parts.path)
    if not plain or not _QUERY.fullmatch(parts.query) or parts.path in OPEN | {"/logout"}:
        return "/"
    return parts.path + (f"?{parts.query}" if parts.query else "")


def next_query(scope: Scope) -> str:
    """The way back after signing in; nothing for what is no page."""
    query = scope["query_string"].decode("latin-1")
    there = safe_next(scope["path"] + (f"?{query}" if query else ""))
    return f"?next={quote(there, safe='/')}" if scope["method"] == "GET" and there != "/" else ""


def _named(scope: Scope, told: RawHeaders) -> Scope:
    return {**scope, "headers": [*scope["headers"], *told]}


async def _close(receive: Receive, send: Send, code: int) -> None:
    await receive()
    await send({"type": "websocket.close", "code": code})


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
