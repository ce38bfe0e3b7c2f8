"""No request may fill the memory: the body is counted before anybody reads it.

The framework reads a whole body before it asks who calls; so the limit stands before it.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from compliance.errors import Refused
from hub.api.errors import answer

MAX_BODY = 2 << 20


class BodyLimit:
    """Takes bodies up to 2 MiB below one path; whatever is mounted elsewhere streams freely.

    Args:
        app: what is behind.
        prefix: path below which the limit holds.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Collect the body, or answer 413 without reading on."""
        if scope["type"] != "http" or not scope["path"].startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        body = await _collected(receive)
        if body is None:
            refusal = Refused(
                "request.size", f"more than {MAX_BODY} bytes", MAX_BODY, "The request is too large."
            )
            await answer(refusal)(scope, receive, send)
            return
        waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def again() -> Message:
            return waiting.pop() if waiting else await receive()

        await self._app(scope, again, send)


async def _collected(receive: Receive) -> bytes | None:
    """The whole body; None if it is too large. A caller who hung up leaves what came."""
    data = bytearray()
    while True:
        message = await receive()
        data += message.get("body", b"")
        if len(data) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return bytes(data)
