"""Every answer says which protocol this hub speaks; who speaks another one is told so at the door.

What a site needs in order to find out (health, certificate) is open to every number.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compliance.errors import ConsiliumError, Malformed, Refused
from compliance.protocol import HEADER, PROTOCOL, check, spoken
from compliance.signing.request import parse_authorization
from hub.api.errors import answer

OPEN = ("/healthz", "/readyz", "/ca.pem")


class Language:
    """Lets requests below one path in that speak this hub's protocol, or the one before.

    Args:
        app: what is behind.
        prefix: path below which it asks.
        knocked: is told which hospital was refused, and by which rule.
    """

    def __init__(self, app: ASGIApp, prefix: str, knocked: Callable[[str, str], None]) -> None:
        self._app, self._prefix, self._knocked = app, prefix, knocked

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask for the number, then add this hub's own to the answer."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return

        async def saying(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = str(PROTOCOL)
            await send(message)

        refusal = self._refusal(Headers(scope=scope), scope["path"].removeprefix(self._prefix))
        await (answer(refusal) if refusal else self._app)(scope, receive, saying)

    def _refusal(self, headers: Headers, path: str) -> ConsiliumError | None:
        if path in OPEN:
            return None
        try:
            check(spoken(headers.get(HEADER)))
        except Refused as error:
            self._tell(headers.get("authorization", ""), error.rule)
            return error
        except Malformed as error:
            return error
        return None

    def _tell(self, authorization: str, rule: str) -> None:
        try:
            self._knocked(parse_authorization(authorization).site, rule)
        except Malformed:
            return
