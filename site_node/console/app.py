"""The socket's application: plain JSON over HTTP, for the console on this machine alone."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused, Unreachable
from site_node.console.desk import Desk, plain_error
from site_node.console.patience import WAIT
from site_node.store.journal import StoreFailed

OWNER = "owner"
"""Whoever may enter the folder of the socket (mode 0700): the user that runs the site."""
MAX_BODY, LONGEST = 16_384, 1024
LINES = 200
STATUS: tuple[tuple[type[ConsiliumError], int], ...] = (
    (Refused, 403),
    (NotReady, 409),
    (Unreachable, 503),
    (Malformed, 400),
)
TOO_EARLY, BROKEN = 429, 500


@dataclass(frozen=True)
class Asked:
    """What came with a call: the id in its path, its query, the fields of its body."""

    number: str
    query: dict[str, str]
    fields: dict[str, str]

    def limit(self) -> int:
        """How many lines are wanted.

        Raises:
            Malformed: it is no number.
        """
        text = self.query.get("limit", str(LINES))
        if not (text.isascii() and text.isdigit() and 0 < len(text) <= 6):  # noqa: PLR2004 - digits
            raise Malformed("request", "limit is a number")
        return int(text)

    def __getitem__(self, name: str) -> str:
        """A field of the body.

        Raises:
            Malformed: it is missing.
        """
        if name not in self.fields:
            raise Malformed("request", f"the field {name} is missing")
        return self.fields[name]


@dataclass(frozen=True)
class Way:
    """One route, who may use it, and the answer."""

    method: str
    path: str
    access: str
    answer: Callable[[Asked], Any]


def ways(desk: Desk) -> list[Way]:
    """Every route; there is no other."""
    questions: dict[str, Callable[[Asked], Any]] = {
        "/v1/home": lambda _: desk.home(),
        "/v1/inbox": lambda _: desk.inbox(),
        "/v1/charters/{id}": lambda it: desk.charter(it.number),
        "/v1/studies": lambda _: desk.studies(),
        "/v1/releases": lambda _: desk.releases(),
        "/v1/journal": lambda it: desk.journal(it.query.get("study", ""), it.limit()),
        "/v1/egress": lambda it: desk.egress(it.query.get("study", ""), it.limit()),
        "/v1/datasets": lambda _: desk.datasets(),
        "/v1/health": lambda _: desk.health(),
    }
    acts: dict[str, Callable[[Asked], Any]] = {
        "/v1/charters/{id}/sign": lambda it: desk.sign(it.number, it["typed"], it["passphrase"]),
        "/v1/charters/{id}/refuse": lambda it: desk.refuse(
            it.number, it["reason"], it["passphrase"]
        ),
        "/v1/studies/{id}/withdraw": lambda it: desk.withdraw(it.number, it["reason"], it["typed"]),
        "/v1/releases/{id}/approve": lambda it: desk.release(
            it.number, it["model"], it["typed"], it["passphrase"]
        ),
        "/v1/releases/{id}/object": lambda it: desk.object_to(
            it.number, it["model"], it["reason"], it["passphrase"]
        ),
    }
    listed = [Way("GET", path, OWNER, answer) for path, answer in questions.items()]
    return listed + [Way("POST", path, OWNER, answer) for path, answer in acts.items()]


def create_app(desk: Desk) -> Starlette:
    """Put the routes together."""
    return Starlette(
        routes=[Route(way.path, _route(way), methods=[way.method]) for way in ways(desk)]
    )


def _route(way: Way) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:
        try:
            asked = await _asked(request)
            return JSONResponse(await run_in_threadpool(way.answer, asked))
        except ConsiliumError as error:
            return refused(error)
        except (OSError, StoreFailed):
            return refused(
                NotReady(
                    "this machine did not do its part; nothing half-done was kept.",
                    "Free space or give write access, then look at Health.",
                )
            )

    return route


async def _asked(request: Request) -> Asked:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_BODY:
            raise Malformed("request", f"it is larger than {MAX_BODY} bytes")
    number = str(request.path_params.get("id", ""))
    return Asked(number, dict(request.query_params), _fields(bytes(data)))


def _fields(data: bytes) -> dict[str, str]:
    try:
        told = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        raise Malformed("request", "it is not JSON") from None
    if not isinstance(told, dict) or not all(_short(value) for value in told.values()):
        raise Malformed("request", "it is no table of short texts")
    return told


def _short(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST


def refused(error: ConsiliumError) -> Response:
    """An error as an answer."""
    status = next((code for kind, code in STATUS if isinstance(error, kind)), BROKEN)
    if isinstance(error, Refused) and error.rule == WAIT:
        status = TOO_EARLY
    return JSONResponse({"error": plain_error(error)}, status)
