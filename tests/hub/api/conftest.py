"""The hub's web application, asked without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from hub.main import create_app
from tests.hub.house import House


class InProcess(httpx.BaseTransport):
    """Carries requests to the application; what it raises becomes its own answer."""

    def __init__(self, app: Any) -> None:
        self._inner = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Ask and wait for the whole answer."""
        return asyncio.run(self._ask(request))

    async def _ask(self, request: httpx.Request) -> httpx.Response:
        copy = httpx.Request(
            request.method, request.url, headers=request.headers, content=request.read()
        )
        answer = await self._inner.handle_async_request(copy)
        data = b"".join([part async for part in answer.stream])
        return httpx.Response(answer.status_code, headers=answer.headers, content=data)


@pytest.fixture
def http(house: House) -> Iterator[httpx.Client]:
    """A client of the hub; it follows nothing and remembers nothing."""
    transport = InProcess(create_app(house.rooms))
    with httpx.Client(transport=transport, base_url="https://127.0.0.1:8443") as client:
        yield client
