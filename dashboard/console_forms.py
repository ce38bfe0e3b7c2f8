"""The console's plain pages: the one-time link, and each act with its passphrase; no script.

A form is taken only from our own page (`Origin`). A passphrase goes to the site's socket and
nowhere else: no session, log or address ever holds it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from dashboard import console_papers as papers
from dashboard import paper
from dashboard.console_acts import ACTS
from dashboard.console_gate import ALIVE, ENTER, STRANGER, Keeper
from dashboard.console_papers import Act
from dashboard.forms import Page, fields_of, guarded
from dashboard.settings import Settings
from dashboard.site_client import SiteClient

STATUS = {"key.wait": 429, "form.origin": 403, "key.passphrase": 403, "confirm.typed": 403}
FORBIDDEN, CONFLICT, AWAY = 403, 409, 503
ASKED_AGAIN = frozenset({"key.wait", "key.passphrase", "confirm.typed"})


class ConsoleForms:
    """The plain pages.

    Args:
        settings: origin and cookie of this console.
        keeper: knows the link and the sessions.
        open_site: makes a client of the site.
    """

    def __init__(
        self, *, settings: Settings, keeper: Keeper, open_site: Callable[[], SiteClient]
    ) -> None:
        self._settings, self._keeper, self._open = settings, keeper, open_site

    def app(self) -> ASGIApp:
        """Every plain page."""
        table: list[tuple[str, Page, str]] = [
            (ALIVE, self._alive, "GET"),
            (ENTER, self._enter, "GET"),
            (STRANGER, self._stranger, "GET"),
            ("/leave", self._leave_page, "GET"),
            ("/leave", self._leave, "POST"),
        ]
        for act in ACTS:
            table += [
                (act.path, self._asking(act), "GET"),
                (act.path, self._doing(act), "POST"),
            ]
        origin = self._settings.origin
        routes = [
            Route(path, guarded(page, origin, trouble), methods=[verb])
            for path, page, verb in table
        ]
        return Starlette(routes=routes)

    # ------------------------------------------------------------------ in and out

    async def _alive(self, _: Request) -> Response:
        return JSONResponse({"state": "up"})

    async def _enter(self, request: Request) -> Response:
        if self._keeper.knows(request.cookies.get(self._settings.cookie)):
            return RedirectResponse("/", 303)  # the link was opened twice by the same browser
        token = self._keeper.redeem(request.query_params.get("key", ""))
        if token is None:
            return html(papers.used_link(), FORBIDDEN)
        answer = RedirectResponse("/", 303)
        answer.set_cookie(self._settings.cookie, token, path="/", httponly=True, samesite="lax")
        return answer

    async def _stranger(self, _: Request) -> Response:
        return html(papers.stranger(self._settings.origin), FORBIDDEN)

    async def _leave_page(self, _: Request) -> Response:
        return html(papers.leaving())

    async def _leave(self, _: Request) -> Response:
        self._keeper.close()
        answer = html(papers.left())
        answer.delete_cookie(self._settings.cookie, httponly=True, samesite="lax")
        return answer

    # ------------------------------------------------------------------ acts

    def _asking(self, act: Act) -> Page:
        async def asking(request: Request) -> Response:
            return await self._form(act, dict(request.query_params))

        return asking

    async def _form(
        self, act: Act, given: dict[str, str], wrong: Refused | None = None
    ) -> Response:
        def ask() -> dict[str, Any]:
            with self._open() as site:
                return act.look(site, given)

        body = act.page(await run_in_threadpool(ask), given, str(wrong or ""))
        return html(body, STATUS.get(wrong.rule, FORBIDDEN) if wrong else 200)

    def _doing(self, act: Act) -> Page:
        async def doing(request: Request) -> Response:
            given = await fields_of(request)

            def do() -> dict[str, Any]:
                with self._open() as site:
                    return act.do(site, given)

            try:
                told = await run_in_threadpool(do)
            except Refused as error:
                if error.rule not in ASKED_AGAIN:
                    raise
                return await self._form(act, given, error)
            return html(act.done(told, given))

        return doing


def html(text: str, status: int = 200) -> HTMLResponse:
    """A page."""
    return HTMLResponse(text, status)


def trouble(error: ConsiliumError) -> Response:
    """An error as a page; what to do stands on it."""
    back = paper.link("/", "Back to the inbox")
    if isinstance(error, Refused):
        status = STATUS.get(error.rule, FORBIDDEN)
        return html(paper.page("Not done", paper.complaint(str(error)), back), status)
    if isinstance(error, Unreachable):
        words = f"The hub cannot be reached: {error.finding} {error.fix}"
        return html(paper.page("The hub is away", paper.complaint(words), back), AWAY)
    words = f"{error.finding} {error.fix}" if isinstance(error, NotReady) else str(error)
    words = words[:1].upper() + words[1:]
    return html(paper.page("Please look again", paper.complaint(words), back), CONFLICT)
