"""The console's only connection: to the site of this home, over a socket beyond any network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from compliance.errors import ConsiliumError, Malformed, NotReady, Refused, Unreachable
from dashboard.settings import Settings

SOCKET = "run/console.sock"
"""Below the home; `site_node.console.door` binds it, and a test compares the two."""
TIMEOUT = httpx.Timeout(180, connect=5)  # the doctor and a witness wait for the hub
MAX_ANSWER = 32 << 20

Plain = dict[str, Any]

TRANSPORT: httpx.BaseTransport | None = None
"""Set by tests of pages; None is the socket."""


class SiteClient:
    """Asks and tells the site of one home.

    Args:
        home: its folder.
        transport: another way to it, such as its own application in a test.
    """

    def __init__(self, home: Path, *, transport: httpx.BaseTransport | None = None) -> None:
        given = transport or TRANSPORT
        self._socket = None if given else home / SOCKET
        way = given or httpx.HTTPTransport(uds=str(self._socket))
        self._http = httpx.Client(transport=way, base_url="http://console", timeout=TIMEOUT)

    def __enter__(self) -> Self:
        """Keep one connection for several questions."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._http.close()

    # ------------------------------------------------------------------ questions

    def home(self) -> Plain:
        """Who this hospital is."""
        return dict(self._call("GET", "home"))

    def inbox(self) -> Plain:
        """Charters that wait, and those that were answered."""
        return dict(self._call("GET", "inbox"))

    def charter(self, number: str) -> Plain:
        """The card of a charter, and its text."""
        return dict(self._call("GET", f"charters/{_safe(number)}"))

    def studies(self) -> list[Plain]:
        """Studies that this hospital signed."""
        return list(self._call("GET", "studies"))

    def releases(self) -> Plain:
        """Models that wait for this hospital's yes or no."""
        return dict(self._call("GET", "releases"))

    def journal(self, study: str = "", limit: int = 200) -> list[Plain]:
        """The journal, newest line first."""
        return list(self._call("GET", "journal", query={"study": study, "limit": str(limit)}))

    def egress(self, study: str = "", limit: int = 200) -> Plain:
        """All that left this hospital."""
        return dict(self._call("GET", "egress", query={"study": study, "limit": str(limit)}))

    def datasets(self) -> Plain:
        """Datasets with exact counts, and what stayed out."""
        return dict(self._call("GET", "datasets"))

    def health(self) -> Plain:
        """What the doctor finds."""
        return dict(self._call("GET", "health"))

    # ------------------------------------------------------------------ acts

    def sign(self, number: str, **fields: str) -> Plain:
        """Sign a charter: `typed`, `passphrase`."""
        return dict(self._call("POST", f"charters/{_safe(number)}/sign", fields))

    def refuse(self, number: str, **fields: str) -> Plain:
        """Refuse a charter: `reason`, `passphrase`."""
        return dict(self._call("POST", f"charters/{_safe(number)}/refuse", fields))

    def withdraw(self, number: str, **fields: str) -> Plain:
        """Leave a study: `reason`, `typed`."""
        return dict(self._call("POST", f"studies/{_safe(number)}/withdraw", fields))

    def release(self, number: str, **fields: str) -> Plain:
        """Agree that a model leaves: `model`, `typed`, `passphrase`."""
        return dict(self._call("POST", f"releases/{_safe(number)}/approve", fields))

    def object_to(self, number: str, **fields: str) -> Plain:
        """Object to a model: `model`, `reason`, `passphrase`."""
        return dict(self._call("POST", f"releases/{_safe(number)}/object", fields))

    def _call(
        self, method: str, path: str, body: Plain | None = None, query: Plain | None = None
    ) -> Any:
        if self._socket is not None and not self._socket.is_socket():
            raise _asleep()
        try:
            answer = self._http.request(method, f"/v1/{path}", json=body, params=query)
        except httpx.HTTPError:
            raise _asleep() from None
        if len(answer.content) > MAX_ANSWER:
            raise Malformed("answer of this hospital's node", "it is too large")
        if not answer.is_success:
            raise failure(answer.content)
        try:
            return answer.json()
        except ValueError:
            raise Malformed("answer of this hospital's node", "it is not JSON") from None


def open_site(settings: Settings) -> SiteClient:
    """The client of a console with these settings."""
    return SiteClient(settings.home)


def failure(data: bytes) -> ConsiliumError:
    """Turn the site's one form of refusals into an error; its sentence is kept."""
    try:
        said = {name: str(value) for name, value in dict(json.loads(data)["error"]).items()}
    except (ValueError, KeyError, TypeError):
        return NotReady(
            "this hospital's node had a trouble that it has no words for.",
            "Look at Health; if it happens again, call your technician.",
        )
    kind, sentence, fix = said.get("kind"), said.get("sentence", ""), said.get("fix", "")
    if kind == "Refused":
        return Refused(said.get("rule", ""), sentence=sentence)
    if kind == "Unreachable":
        return Unreachable(sentence, fix)
    if kind == "NotReady":
        return NotReady(sentence, fix)
    return Malformed("answer of this hospital's node", sentence)


def _asleep() -> NotReady:
    return NotReady(
        "this hospital's node does not answer.",
        "Your technician starts it with `consilium site serve`; then try again.",
    )


def _safe(number: str) -> str:
    return quote(number or "-", safe="")
