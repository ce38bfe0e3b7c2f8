"""The one way out: TLS that trusts the consortium's authority alone, answers that are judged."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from compliance.errors import Malformed, NotReady, Refused, Unreachable
from hub.services.authority import make_authority
from site_node.gate import hub_client
from site_node.gate.hub_client import fetch_authority, open_http, send_join
from tests.site_node.gate.world import STUDY, World

NOW = datetime.now(UTC)


def unwritten(_: bytes) -> None:
    """Write nothing down: these tests are about the way."""


class Certificate(BaseHTTPRequestHandler):
    """Serves the authority's certificate and counts who spoke."""

    data = b""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer every question with the certificate."""
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()
        self.wfile.write(self.data)

    def do_POST(self) -> None:
        """The same."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two certificate authorities: the hub's own and a stranger's."""
    folder = tmp_path_factory.mktemp("tls")
    for name in ("hub", "stranger"):
        make_authority(folder / name, f"{name}.example", "127.0.0.1", NOW)
    return folder / "hub", folder / "stranger"


@pytest.fixture
def address(authorities: tuple[Path, Path]) -> Iterator[str]:
    """A hub on loopback with a certificate of its own authority."""
    hub = authorities[0]
    Certificate.data, Certificate.asked = (hub / "ca.pem").read_bytes(), []
    server = HTTPServer(("127.0.0.1", 0), Certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(hub / "server.pem", hub / "server.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_certificate_is_fetched_without_trust_and_without_a_secret(
    address: str, authorities: tuple[Path, Path]
) -> None:
    """The first request carries nothing: what it brings is compared with the invitation."""
    assert fetch_authority(address) == (authorities[0] / "ca.pem").read_bytes()
    assert Certificate.asked == ["/api/v1/ca.pem"]


def test_the_hub_is_trusted_by_its_own_authority_alone(
    address: str, authorities: tuple[Path, Path]
) -> None:
    """With another authority's certificate no byte of the request leaves."""
    stranger = authorities[1] / "ca.pem"
    with open_http(address, stranger) as http, pytest.raises(NotReady, match="another authority"):
        send_join(http, {"token": "secret"}, unwritten)

    assert Certificate.asked == []
    with open_http(address, authorities[0] / "ca.pem") as http, pytest.raises(Malformed):
        send_join(http, {"token": "secret"}, unwritten)
    assert Certificate.asked == ["/api/v1/join"]


def test_a_hub_that_is_down_is_unreachable_with_words(tmp_path: Path) -> None:
    """Nothing listens: say what to check."""
    with pytest.raises(Unreachable, match="port 443"):
        fetch_authority("https://127.0.0.1:9")


def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    """A lost ca.pem is not silently replaced by the system's trust."""
    with pytest.raises(NotReady, match=r"gone\.pem"):
        open_http("https://127.0.0.1:9", tmp_path / "gone.pem")


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (
            403,
            '{"error":{"rule":"round.sites","sentence":"No. Found: 1. Agreed: 2.","found":1}}',
            Refused,
            "^No. Found: 1. Agreed: 2.$",
        ),
        (404, '{"error":{"code":"log.unknown","sentence":"No such log."}}', Refused, "No such log"),
        (
            409,
            '{"error":{"code":"NotReady","sentence":"Not ready: Busy. Retry.","fix":"Retry."}}',
            NotReady,
            "^Not ready: the hub answered: Busy. Retry.$",
        ),
        (503, '{"error":{"code":"busy","sentence":"Busy."}}', Unreachable, "503"),
        (500, "<html>oops</html>", Unreachable, "status 500"),
        (401, '{"error": 7}', Unreachable, "status 401"),
    ],
)
def test_a_no_of_the_hub_keeps_its_rule_and_words(
    status: int, body: str, kind: type[Exception], words: str
) -> None:
    """Each answer becomes one error of the family, whatever the hub sends."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=body))
    http = httpx.Client(transport=transport, base_url="https://hub")
    with http, pytest.raises(kind, match=words):
        send_join(http, {}, unwritten)


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hub cannot fill this machine's memory."""
    monkeypatch.setattr(hub_client, "MAX_ANSWER", 1000)
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=b"x" * 1001))

    http = httpx.Client(transport=transport, base_url="https://hub")
    with http, pytest.raises(Malformed, match="larger than 1000"):
        send_join(http, {}, unwritten)


def test_every_request_is_signed_over_its_path_query_and_body(world: World) -> None:
    """The hub verifies each one with the node key; a stolen header fits no other request."""
    rooms = world.joined()
    world.launched(rooms)

    assert len(rooms.hub.entries(STUDY, 0, 1)) == 1
    assert rooms.hub.heartbeat({"supernode": "up"}, {})["time"] == world.time.text()


def test_an_unchanged_heartbeat_is_journalled_once(world: World) -> None:
    """The journal says what left, not how often the same was repeated."""
    rooms = world.joined()
    for _ in range(3):
        rooms.hub.heartbeat({"supernode": "up"}, {})
    rooms.hub.heartbeat({"supernode": "refused"}, {})

    sent = [row for row in rooms.journal.lines() if row["data"].get("what") == "heartbeat"]
    assert len(sent) == 2
    assert len(world.hub.heartbeats) == 4
