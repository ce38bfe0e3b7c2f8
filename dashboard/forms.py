"""Sign-in, enrolment, confirmation and tickets: plain pages, no script, each act exactly once.

A form is taken only from our own page (`Origin`), so that no other site can fill one in for a
person.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from compliance.errors import ConsiliumError, NotReady, Refused, Unreachable
from dashboard import paper
from dashboard.hub_client import GateClient, HubClient
from dashboard.results import confirm_form, page_of, result_page
from dashboard.settings import Settings

MAX_FORM = 16_384
STATUS = {"auth.password": 401, "auth.session": 401, "auth.wait": 429, "form.origin": 403}
FORBIDDEN, CONFLICT, AWAY = 403, 409, 503
WAIT = "5"

OpenHub = Callable[[str | None], HubClient]
Page = Callable[[Request], Awaitable[Response]]
SafeNext = Callable[[str], str]


class Forms:
    """The plain pages.

    Args:
        settings: origin and cookie of this dashboard.
        open_hub: makes a client for a token, or for nobody.
        gate_hub: streams the files of tickets.
        safe_next: keeps a way back inside our pages.
        forget: makes the gate believe nothing about a token.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        open_hub: OpenHub,
        gate_hub: GateClient,
        safe_next: SafeNext,
        forget: Callable[[str], None],
    ) -> None:
        self._settings, self._open_hub, self._gate_hub = settings, open_hub, gate_hub
        self._safe_next, self._forget = safe_next, forget

    def app(self) -> ASGIApp:
        """Every plain page."""
        table: list[tuple[str, Page, str]] = [
            ("/healthz", self._alive, "GET"),
            ("/login", self._login_page, "GET"),
            ("/login", self._login, "POST"),
            ("/logout", self._logout_page, "GET"),
            ("/logout", self._logout, "POST"),
            ("/enrol", self._enrol_page, "GET"),
            ("/enrol", self._enrol, "POST"),
            ("/confirm", self._confirm_page, "GET"),
            ("/confirm", self._confirm, "POST"),
            ("/ticket/{number}", self._ticket, "GET"),
        ]
        origin = self._settings.origin
        routes = [
            Route(path, guarded(page, origin, _trouble), methods=[verb])
            for path, page, verb in table
        ]
        return Starlette(routes=routes)

    # ------------------------------------------------------------------ in and out

    async def _alive(self, _: Request) -> Response:
        return JSONResponse({"state": "up"})

    async def _login_page(self, request: Request) -> Response:
        return _html(_login_form(self._safe_next(request.query_params.get("next", "/"))))

    async def _login(self, request: Request) -> Response:
        told = await fields_of(request)
        there = self._safe_next(told.get("next", "/"))
        try:
            return await self._sign_in(told.get("name", ""), told.get("password", ""), there)
        except Refused as error:
            form = _login_form(there, told.get("name", ""), str(error))
            return _html(form, STATUS.get(error.rule, FORBIDDEN))

    async def _sign_in(self, name: str, password: str, there: str) -> Response:
        def ask() -> str:
            with self._open_hub(None) as hub:
                return str(hub.sign_in(name, password)["token"])

        answer = RedirectResponse(there, 303)
        self._set_cookie(answer, await run_in_threadpool(ask))
        return answer

    async def _logout_page(self, _: Request) -> Response:
        parts = (
            paper.said("Drafts that you did not save are lost; nothing else changes."),
            paper.form("/logout", "Sign out"),
            paper.link("/", "Stay"),
        )
        return _html(paper.page("Sign out?", *parts))

    async def _logout(self, request: Request) -> Response:
        token = self._token(request)

        def ask() -> None:
            with self._open_hub(token) as hub:
                hub.sign_out()

        await run_in_threadpool(ask)
        self._forget(token)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(
            self._settings.cookie, secure=self._settings.secure, httponly=True, samesite="lax"
        )
        return answer

    async def _enrol_page(self, request: Request) -> Response:
        return await self._enrol_form(request.query_params.get("code", ""))

    async def _enrol(self, request: Request) -> Response:
        told = await fields_of(request)
        code, password = told.get("code", ""), told.get("password", "")
        if password != told.get("again"):
            return await self._enrol_form(code, "The two passwords differ.", 400)

        def ask() -> str:
            with self._open_hub(None) as hub:
                return str(hub.enrol(code, password)["name"])

        try:
            name = await run_in_threadpool(ask)
        except NotReady as error:
            return await self._enrol_form(code, f"{error.finding} {error.fix}", 400)
        return await self._sign_in(name, password, "/")

    async def _enrol_form(self, code: str, wrong: str = "", status: int = 200) -> Response:
        def ask() -> dict[str, Any]:
            with self._open_hub(None) as hub:
                return hub.enrolment(code)

        told = await run_in_threadpool(ask)
        roles = " and ".join(str(role) for role in told["roles"])
        new = {"kind": "password", "autocomplete": "new-password", "minlength": "12"}
        form = paper.form(
            "/enrol",
            "Choose this password",
            paper.field("password", "Password", hint="at least 12 characters", **new),
            paper.field("again", "The same again", **new),
            code=code,
        )
        words = f"This one-time link is yours as {roles}. Choose a password that nobody else knows."
        title = f"Welcome, {told['name']}"
        return _html(paper.page(title, paper.said(words), paper.complaint(wrong), form), status)

    # ------------------------------------------------------------------ acts that wait for a yes

    async def _confirm_page(self, request: Request) -> Response:
        number = request.query_params.get("intent", "")
        return await self._confirm_form(request, number, self._back(request))

    async def _confirm(self, request: Request) -> Response:
        told = await fields_of(request)
        number, back = told.get("intent", ""), self._safe_next(told.get("back", "/"))
        token = self._token(request)

        def ask() -> tuple[dict[str, Any], dict[str, Any]]:
            with self._open_hub(token) as hub:
                intent = hub.intent(number)
                password, typed = told.get("password"), (told.get("typed") or "").strip()
                return intent, hub.confirm(number, password, typed or None)

        try:
            intent, done = await run_in_threadpool(ask)
        except Refused as error:
            if error.rule == "auth.session":
                raise
            return await self._confirm_form(request, number, back, error)
        return _html(result_page(intent, done, back, self._settings.origin))

    async def _confirm_form(
        self, request: Request, number: str, back: str, wrong: Refused | None = None
    ) -> Response:
        token = self._token(request)

        def ask() -> tuple[dict[str, Any], str]:
            with self._open_hub(token) as hub:
                intent = hub.intent(number)
                return intent, _title_of(hub, str(intent["object"]))

        intent, title = await run_in_threadpool(ask)
        if back == "/":
            back = page_of(str(intent["action"]), str(intent["object"]))
        status = STATUS.get(wrong.rule, FORBIDDEN) if wrong else 200
        return _html(confirm_form(intent, title, back, str(wrong or "")), status)

    async def _ticket(self, request: Request) -> Response:
        stack = AsyncExitStack()
        ticket = self._gate_hub.ticket(request.path_params["number"])
        headers, parts = await stack.enter_async_context(ticket)
        return _File(headers, parts, stack)

    def _back(self, request: Request) -> str:
        """The page that asked: named in the link, or the one from which the browser came."""
        named = request.query_params.get("back")
        came = request.headers.get("referer", "")
        inside = came.startswith(self._settings.origin + "/")
        return self._safe_next(named or (came[len(self._settings.origin) :] if inside else "/"))

    def _token(self, request: Request) -> str:
        return request.cookies.get(self._settings.cookie, "")

    def _set_cookie(self, answer: Response, token: str) -> None:
        answer.set_cookie(
            self._settings.cookie,
            token,
            path="/",
            secure=self._settings.secure,
            httponly=True,
            samesite="lax",
        )


class _File(Response):
    """A file handed through as it comes; the connection to the hub ends with it."""

    def __init__(
        self, headers: dict[str, str], parts: AsyncIterator[bytes], stack: AsyncExitStack
    ) -> None:
        self.status_code, self.background = 200, None
        self._parts, self._stack = parts, stack
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stack:
            start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
            await send(start)
            async for part in self._parts:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer when the hub cannot be asked: nobody comes in, and the browser tries again."""
    await _trouble(Unreachable("the hub does not answer."))(scope, receive, send)


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form that was sent; a large one is refused unread."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_FORM:
            raise Refused("request.size", sentence="This form is too large; nothing was done.")
    found = parse_qs(data.decode("utf-8", "replace"), max_num_fields=20)
    return {name: values[0] for name, values in found.items()}


def guarded(page: Page, origin: str, trouble: Callable[[ConsiliumError], Response]) -> Page:
    """Turn an error of the family into a page, and take forms from our own pages only.

    Args:
        page: answers a request.
        origin: of our own pages.
        trouble: makes the page of an error.
    """

    async def answer(request: Request) -> Response:
        try:
            if request.method == "POST" and request.headers.getlist("origin") != [origin]:
                raise Refused(
                    "form.origin",
                    sentence=f"This form came from elsewhere. Open {origin} and begin there; "
                    "nothing was done.",
                )
            return await page(request)
        except ConsiliumError as error:
            return trouble(error)

    return answer


def _html(text: str, status: int = 200) -> HTMLResponse:
    headers = {"Retry-After": WAIT} if status in (429, AWAY) else None
    return HTMLResponse(text, status, headers)


def _trouble(error: ConsiliumError) -> Response:
    if isinstance(error, Unreachable):
        words = "The hub does not answer, so nobody can be let in. This page tries again by itself."
        body = paper.page(
            "One moment", paper.complaint(words), paper.link("/", "Try now"), refresh=5
        )
        return _html(body, AWAY)
    if isinstance(error, Refused):
        status = STATUS.get(error.rule, FORBIDDEN)
        if error.rule == "auth.session":
            return RedirectResponse("/login", 303)
        return _html(paper.page("Not done", paper.complaint(str(error)), _home()), status)
    words = f"{error.finding} {error.fix}" if isinstance(error, NotReady) else str(error)
    return _html(paper.page("Please look again", paper.complaint(words), _home()), CONFLICT)


def _home() -> str:
    return paper.link("/", "Back to the first page")


def _login_form(there: str, name: str = "", wrong: str = "") -> str:
    form = paper.form(
        "/login",
        "Sign in",
        paper.field("name", "Name", autocomplete="username", value=name, maxlength="64"),
        paper.field("password", "Password", kind="password", autocomplete="current-password"),
        next=there,
    )
    hint = "No account yet, or the password forgotten? Ask your administrator for a one-time link."
    return paper.page(
        "Sign in", paper.complaint(wrong), form, paper.said(hint).replace("<p>", '<p class="back">')
    )


def _title_of(hub: HubClient, subject: str) -> str:
    """The title of the study or charter that an act is about; empty for other things."""
    for row in hub.studies():
        if subject in (row["study"], row["charter_id"]):
            return str(row["title"])
    return ""
