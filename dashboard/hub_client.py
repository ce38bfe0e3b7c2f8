"""The only module of the dashboard that opens a connection: questions and acts, to the hub alone.

Views and commands use `HubClient`; the gate, which waits for many at once, uses `GateClient`.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from compliance.errors import ConsiliumError, NotReady, Unreachable
from dashboard.answers import bounded, failure, read_json
from dashboard.questions import PREFIX, Plain, Questions, safe
from dashboard.settings import is_loopback

TIMEOUT = httpx.Timeout(30, connect=5)

Token = Callable[[], str | None]


class HubClient(Questions):
    """Asks and tells the hub in one person's name.

    Args:
        base_url: the hub's address, https.
        ca_file: certificate that vouches for the hub; None trusts the system's own.
        token: returns the session token, or None for nobody; called for each request.
        background: polls of a live page, which do not keep an idle session alive.
        transport: another way to the hub, such as the hub's own application in a test.
    """

    def __init__(
        self,
        base_url: str,
        ca_file: Path | None = None,
        token: Token = lambda: None,
        *,
        background: bool = False,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._token, self._background = token, background
        self._http = httpx.Client(**_options(base_url, ca_file, transport), transport=transport)

    def __enter__(self) -> Self:
        """Keep one connection for several questions."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def _call(
        self,
        method: str,
        path: str,
        body: Plain | None = None,
        *,
        query: dict[str, int] | None = None,
        raw: bytes | None = None,
    ) -> bytes:
        headers = _headers(self._token(), background=self._background)
        request = self._http.build_request(
            method, PREFIX + path, json=body, content=raw, params=query, headers=headers
        )
        try:
            answer = self._http.send(request, stream=True)
            try:
                data = bytearray()
                for part in answer.iter_bytes():
                    data += bounded(part, len(data))
            finally:
                answer.close()
        except httpx.HTTPError as error:
            raise _unreachable(str(self._http.base_url), error) from error
        self._http.cookies.clear()
        if not answer.is_success:
            raise failure(answer.status_code, bytes(data))
        return bytes(data)


class GateClient:
    """The gate's few questions, without blocking the others who wait.

    Args:
        base_url: the hub's address, https.
        ca_file: certificate that vouches for the hub; None trusts the system's own.
        transport: another way to the hub, such as the hub's own application in a test.
    """

    def __init__(
        self,
        base_url: str,
        ca_file: Path | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            **_options(base_url, ca_file, transport), transport=transport
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def me(self, token: str, *, background: bool = False) -> Plain:
        """Who holds this token."""
        headers = _headers(token, background=background)
        try:
            answer = await self._http.get(f"{PREFIX}/me", headers=headers)
        except httpx.HTTPError as error:
            raise _unreachable(str(self._http.base_url), error) from error
        if not answer.is_success:
            raise failure(answer.status_code, answer.content)
        return dict(read_json(answer.content))

    @asynccontextmanager
    async def ticket(
        self, number: str
    ) -> AsyncIterator[tuple[dict[str, str], AsyncIterator[bytes]]]:
        """The headers and bytes of a one-time ticket's file, handed through as they come."""
        request = self._http.build_request("GET", f"{PREFIX}/tickets/{safe(number)}")
        try:
            answer = await self._http.send(request, stream=True)
        except httpx.HTTPError as error:
            raise _unreachable(str(self._http.base_url), error) from error
        try:
            if not answer.is_success:
                raise failure(answer.status_code, await answer.aread())
            kept = ("content-disposition", "content-length", "content-type")
            yield {k: answer.headers[k] for k in kept if k in answer.headers}, answer.aiter_raw()
        finally:
            await answer.aclose()


def open_hub(*, background: bool = False) -> HubClient:
    """The client of the person who looks at this page; for views. Cheap: make one per draw."""
    from dashboard import session  # loads Streamlit, which commands do without

    given = session.settings()
    return HubClient(
        given.hub_url, given.ca_file, session.token, background=background, transport=TRANSPORT
    )


TRANSPORT: httpx.BaseTransport | None = None
"""Set by tests of pages, which have no network; None is the network."""


@lru_cache(maxsize=8)
def _trust(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise NotReady(
            f"the hub's certificate file {ca_file} cannot be read ({error}).",
            "Name the hub's ca.pem.",
        ) from None


def _options(base_url: str, ca_file: Path | None, transport: object) -> dict[str, Any]:
    host = urlsplit(base_url).hostname or ""
    options: dict[str, Any] = {"base_url": base_url, "timeout": TIMEOUT}
    options["trust_env"] = not is_loopback(host)  # a proxy has no business on this machine
    return options if transport else options | {"verify": _trust(ca_file)}


def _headers(token: str | None, *, background: bool) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return headers | ({"X-Consilium-Background": "1"} if background else {})


def _unreachable(address: str, error: httpx.HTTPError) -> ConsiliumError:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotReady(
            f"the hub at {address} shows a certificate of another authority.",
            "Nothing was sent. Name the hub's own ca.pem.",
        )
    return Unreachable(
        f"the hub at {address} does not answer.", "Check that it runs, then try again."
    )
