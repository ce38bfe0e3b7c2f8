"""The public port lets ten fleet names of Flower through, for members, and nothing else."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from compliance.errors import Refused
from compliance.signing.request import parse_authorization
from hub.federation import gateway as door
from hub.federation.gateway import NAMES, Gateway
from hub.federation.ring import ring
from hub.federation.superlink import Loopback
from hub.storage.members import find_member
from tests.hub.house import NAMES as HOSPITALS
from tests.hub.house import House


def key_pair() -> tuple[str, bytes]:
    """A node's public key: as a member registered it, and as Flower sends it in a header."""
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    ssh = public.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    ).decode()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return ssh, base64.b64encode(pem)


class Link(ThreadingHTTPServer):
    """Stands where the SuperLink would: counts what reaches it."""

    request_queue_size = 128

    def __init__(self) -> None:
        self.reached: list[str] = []
        self.answers: dict[str, list[bytes]] = {}
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Link

    def do_POST(self) -> None:
        """Note the path and answer as the test wishes."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.reached.append(self.path)
        own = self.headers.get("flwr-public-key", "")
        waiting = self.server.answers.get(own) or self.server.answers.get(self.path, [])
        body = waiting.pop(0) if waiting else b""
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def link(monkeypatch: pytest.MonkeyPatch) -> Iterator[Link]:
    """A SuperLink's place on loopback; plain HTTP, for what is tested stands before it."""
    server = Link()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()

    monkeypatch.setattr(
        door,
        "client_of",
        lambda place: httpx.AsyncClient(transport=_Plain()),
    )
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class _Plain(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: Any) -> Any:
        """Speak plain HTTP to the place."""
        request.url = request.url.copy_with(scheme="http")
        return await super().handle_async_request(request)


class Client:
    """Calls the gateway as an ASGI server would, raw path and all."""

    def __init__(self, link: Link, members: list[str], held: float = 0.0) -> None:
        place = Loopback(link.server_address[1], Path(), "")
        self.gateway = Gateway(place=lambda: place, keys=lambda: members, held=held)

    def call(
        self,
        path: str,
        *,
        key: bytes | None,
        method: str = "POST",
        query: bytes = b"",
        body: bytes = b"x",
        more: list[tuple[bytes, bytes]] | None = None,
        gone_after: float | None = None,
    ) -> tuple[int, bytes]:
        """Status and body."""
        headers = [] if key is None else [(b"flwr-public-key", key)]
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode("latin-1"),
            "query_string": query,
            "headers": headers + (more or []),
        }
        return asyncio.run(self._call(scope, body, gone_after))

    async def _call(self, scope: Any, body: bytes, gone_after: float | None) -> tuple[int, bytes]:
        sent: list[Any] = []
        messages = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if messages:
                return messages.pop(0)
            await asyncio.sleep(3600 if gone_after is None else gone_after)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.gateway(scope, receive, send)
        await self.gateway.close()
        return sent[0]["status"], sent[1]["body"]


async def call_of(gateway: Gateway, header: bytes, gone_after: float | None) -> tuple[int, bytes]:
    """One pull of a node, held until there is something, or until the node is gone."""
    sent: list[Any] = []
    messages = [{"type": "http.request", "body": b"x", "more_body": False}]

    async def receive() -> Any:
        if messages:
            return messages.pop(0)
        await asyncio.sleep(3600 if gone_after is None else gone_after)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    path = "/v1/fleet/pull-messages"
    scope = {
        "type": "http", "method": "POST", "path": path, "raw_path": path.encode(),
        "query_string": b"", "headers": [(b"flwr-public-key", header)],
    }  # fmt: skip
    await gateway(scope, receive, send)
    return sent[0]["status"], sent[1]["body"]


OTHERS = [
    "/v1/fleet/register-node",
    "/v1/fleet/unregister-node",
    "/v1/control/start-run",
    "/v1/fleet/../control/start-run",
    "/v1/fleet/%2e%2e/control/start-run",
    "/v1/fleet//pull-messages",
    "/v1//fleet/pull-messages",
    "/v1/fleet/Pull-Messages",
    "/V1/fleet/pull-messages",
    "/v1/fleet/pull-messages/",
    "/v1/fleet/pull%2Dmessages",
    "/v1/fleet/pull-messages%00",
    "/v1/fleet/",
    "/v1/runtime/push-messages",
    "/health",
]


@pytest.mark.parametrize("path", OTHERS)
def test_no_other_path_reaches_flower(link: Link, path: str) -> None:
    """Control has no login: whatever is not one of the ten names gets a bare 404."""
    ssh, header = key_pair()

    assert Client(link, [ssh]).call(path, key=header) == (404, b"")
    assert link.reached == []


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_members_node_reaches_the_ten_names(link: Link, name: str) -> None:
    """Each by POST, with the member's own key."""
    ssh, header = key_pair()

    status, _ = Client(link, [ssh]).call(f"/v1/fleet/{name}", key=header)

    assert status == 200
    assert link.reached == [f"/v1/fleet/{name}"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "post"])
def test_another_method_is_not_found(link: Link, method: str) -> None:
    """Only POST is a fleet call."""
    ssh, header = key_pair()

    assert Client(link, [ssh]).call("/v1/fleet/get-run", key=header, method=method)[0] == 404
    assert link.reached == []


def test_a_query_is_not_found(link: Link) -> None:
    """Flower's nodes send none."""
    ssh, header = key_pair()

    assert Client(link, [ssh]).call("/v1/fleet/get-run", key=header, query=b"a=1")[0] == 404


def test_a_strangers_key_and_no_key_are_not_found(link: Link) -> None:
    """Who is no active member learns nothing, not even that Flower is there."""
    ssh, _ = key_pair()
    _, stranger = key_pair()
    client = Client(link, [ssh])

    answers = [client.call("/v1/fleet/get-run", key=key) for key in (stranger, None, b"!", b"")]

    assert answers == [(404, b"")] * 4
    assert link.reached == []


def test_two_keys_in_one_request_are_not_found(link: Link) -> None:
    """A member's key beside a stranger's: Flower might read the other one."""
    ssh, header = key_pair()
    _, stranger = key_pair()

    status, _ = Client(link, [ssh]).call(
        "/v1/fleet/get-run", key=header, more=[(b"Flwr-Public-Key", stranger)]
    )

    assert status == 404
    assert link.reached == []


def test_a_suspended_member_is_out_at_the_next_reading(link: Link) -> None:
    """Whatever Flower's database says."""
    ssh, header = key_pair()
    members = [ssh]
    client = Client(link, members)
    assert client.call("/v1/fleet/get-run", key=header)[0] == 200

    members.clear()
    client.gateway.forget()

    assert client.call("/v1/fleet/get-run", key=header)[0] == 404


def test_an_oversized_body_is_refused(link: Link) -> None:
    """Objects are at most 5 MB; more than 8 MB is no fleet call."""
    ssh, header = key_pair()

    status, _ = Client(link, [ssh]).call(
        "/v1/fleet/push-object", key=header, body=b"x" * (door.LARGEST + 1)
    )

    assert status == 413
    assert link.reached == []


def test_an_empty_pull_is_held_until_there_is_a_message(link: Link) -> None:
    """The node need not ask every three seconds: it gets its order when it is there."""
    ssh, header = key_pair()
    link.answers["/v1/fleet/pull-messages"] = [b"", b"", b"the order"]

    told = Client(link, [ssh], held=10).call("/v1/fleet/pull-messages", key=header)

    assert told == (200, b"the order")
    assert len(link.reached) == 3


def test_a_held_pull_takes_nothing_for_a_node_that_left(link: Link) -> None:
    """A message taken for a client that vanished would be lost to Flower."""
    ssh, header = key_pair()
    link.answers["/v1/fleet/pull-messages"] = [b"", b"an order for nobody"]

    Client(link, [ssh], held=10).call("/v1/fleet/pull-messages", key=header, gone_after=0.01)

    assert link.reached == ["/v1/fleet/pull-messages"]


def test_the_bell_brings_the_order_at_once(link: Link, tmp_path: Path) -> None:
    """The ServerApp rings when it has pushed: nobody waits for the next look."""
    ssh, header = key_pair()
    path = tmp_path / "bell.sock"
    client = Client(link, [ssh], held=10)
    client.gateway = Gateway(
        place=lambda: Loopback(link.server_address[1], Path(), ""),
        keys=lambda: [ssh],
        held=10,
        bell=path,
    )
    link.answers["/v1/fleet/pull-messages"] = [b""]

    def push() -> None:
        while not path.exists():
            threading.Event().wait(0.005)
        link.answers["/v1/fleet/pull-messages"] = [b"the order"]
        ring(path)

    thread = threading.Thread(target=push, daemon=True)
    thread.start()
    told = client.call("/v1/fleet/pull-messages", key=header)
    thread.join()

    assert told == (200, b"the order")


def test_twenty_nodes_are_held_side_by_side_and_one_that_left_takes_nothing(
    link: Link, tmp_path: Path
) -> None:
    """One ring, and each has its own order; the order of the node that vanished stays."""
    pairs = [key_pair() for _ in range(21)]
    members = [ssh for ssh, _ in pairs]
    headers = [header for _, header in pairs]
    gone = headers.pop()
    path = tmp_path / "bell.sock"
    place = Loopback(link.server_address[1], Path(), "")
    carried: list[tuple[str, int]] = []
    gateway = Gateway(
        place=lambda: place, keys=lambda: members, held=60, bell=path,
        moved=lambda key, name, asked, answered: carried.append((name, answered)),
    )  # fmt: skip

    async def one(header: bytes, gone_after: float | None) -> tuple[int, bytes]:
        return await call_of(gateway, header, gone_after)

    async def all_of_them() -> list[tuple[int, bytes]]:
        left = asyncio.create_task(one(gone, 0.01))
        held = [asyncio.create_task(one(header, None)) for header in headers]
        await left
        while len(link.reached) < len(pairs):
            await asyncio.sleep(0.01)
        for number, header in enumerate([*headers, gone]):
            link.answers[header.decode()] = [f"order {number}".encode()]
        ring(path)
        found = await asyncio.gather(*held)
        await gateway.close()
        return list(found)

    found = asyncio.run(all_of_them())

    assert found == [(200, f"order {number}".encode()) for number in range(20)]
    assert link.answers[gone.decode()] == [b"order 20"]
    assert sorted(carried)[-1] == ("pull-messages", len(b"order 19"))


def test_a_bell_that_nobody_hears_is_no_fault(tmp_path: Path) -> None:
    """The hub is just starting again: the order is found by the next look."""
    ring(tmp_path / "nobody.sock")


def test_a_held_pull_takes_nothing_for_a_node_that_was_shut_out(link: Link) -> None:
    """The order that comes while it waits is for members; the waiting request ends empty."""
    ssh, header = key_pair()
    members, path = [ssh], "/v1/fleet/pull-messages"
    client = Client(link, members, held=5)
    link.answers[path] = [b"", b"an order"]

    def shut_out() -> None:
        while not link.reached:
            threading.Event().wait(0.005)
        members.clear()
        client.gateway.forget()

    other = threading.Thread(target=shut_out)
    other.start()
    status, body = client.call(path, key=header)
    other.join()

    assert (status, body) == (200, b"")
    assert link.answers[path] == [b"an order"]


def test_a_suspended_hospital_is_out_within_a_minute_everywhere(link: Link, house: House) -> None:
    """Its requests at once, its Flower node when the door reads the members again."""
    ssh, header = key_pair()
    house.join(*HOSPITALS)
    with house.rooms.database.transaction() as session:
        find_member(session, HOSPITALS[0]).flower_public = ssh
    place = Loopback(link.server_address[1], Path(), "")
    client = Client(link, [])
    client.gateway = Gateway(
        place=lambda: place, keys=lambda: house.rooms.members.flower_keys().values(), held=0
    )
    assert client.call("/v1/fleet/push-messages", key=header)[0] == 200
    request = parse_authorization(
        house.signed(HOSPITALS[0], "GET", "/api/v1/studies")["Authorization"]
    )

    house.suspend(HOSPITALS[0])

    with pytest.raises(Refused):
        house.rooms.members.admit(request, "GET", "/api/v1/studies", b"")
    assert HOSPITALS[0] not in house.rooms.members.flower_nodes().values()
    client.gateway._read_at -= door.ALLOWED_SECONDS  # the time that the list may be old
    assert client.call("/v1/fleet/push-messages", key=header) == (404, b"")
    assert door.ALLOWED_SECONDS + door.ASK_AGAIN[1] < 60
