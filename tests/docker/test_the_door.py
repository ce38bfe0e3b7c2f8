"""The proxy that is shipped, driven over TLS against stand-ins for hub and dashboard."""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from hub.services.authority import make_authority
from tests import needs
from tests.dashboard.served import free_port
from tests.docker.shipped import DOCKER

HOST = "127.0.0.1"


class StandIn(ThreadingHTTPServer):
    """Answers in a name."""

    name = ""


class Echo(BaseHTTPRequestHandler):
    """Says who answered and what was asked."""

    server: StandIn

    def do_GET(self) -> None:
        """Answer every path."""
        told = {"by": self.server.name, "path": self.path, "headers": dict(self.headers)}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent."""


def stand_in(name: str, tls: Path | None = None) -> StandIn:
    """Start one on a loopback port, behind TLS if a folder of certificates is given."""
    server = StandIn((HOST, 0), Echo)
    server.name = name
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "server.pem", tls / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A browser before the shipped proxy; behind it stand a hub and a dashboard."""
    needs.need("proxy")
    folder = tmp_path_factory.mktemp("door")
    make_authority(folder / "tls", "hub.example", HOST, datetime.now(UTC))
    hub, dashboard, port = stand_in("hub", folder / "tls"), stand_in("dashboard"), free_port()
    variables = {
        "HUB_HOST": HOST,
        "HTTPS_PORT": str(port),
        "HUB_UPSTREAM": f"{HOST}:{hub.server_port}",
        "DASHBOARD_UPSTREAM": f"{HOST}:{dashboard.server_port}",
        "TLS_FOLDER": str(folder / "tls"),
        "HOME": str(folder),
    }
    program = needs.program("caddy")
    words = ["run", "--adapter", "caddyfile", "--config", str(DOCKER / "caddy" / "Caddyfile")]
    with (folder / "caddy.log").open("wb") as log:
        caddy = subprocess.Popen(
            [str(program), *words],
            env=variables | {"PATH": os.environ["PATH"]},
            stderr=log,
            start_new_session=True,
        )
    context = ssl.create_default_context(cafile=str(folder / "tls" / "ca.pem"))
    with httpx.Client(base_url=f"https://{HOST}:{port}", verify=context, trust_env=False) as client:
        try:
            wait_until_it_answers(client, caddy, folder / "caddy.log")
            yield client
        finally:
            os.killpg(caddy.pid, signal.SIGTERM)
            caddy.wait(timeout=10)
            for server in (hub, dashboard):
                server.shutdown()
                server.server_close()


def wait_until_it_answers(client: httpx.Client, caddy: subprocess.Popen[bytes], log: Path) -> None:
    """Ask until the proxy listens; ten seconds are enough."""
    pause = threading.Event()
    for _ in range(200):
        assert caddy.poll() is None, log.read_text()
        try:
            client.get("/api/v1/healthz")
        except httpx.ConnectError:
            pause.wait(0.05)
        else:
            return
    pytest.fail(log.read_text())


@pytest.mark.parametrize(
    ("path", "by"),
    [
        ("/api/v1/studies", "hub"),
        ("/v1/fleet/get-run", "hub"),
        ("/", "dashboard"),
        ("/study/deep?x=1", "dashboard"),
        ("/enrol?code=abc", "dashboard"),
        ("/v1/control", "dashboard"),
        ("/apix", "dashboard"),
    ],
)
def test_a_request_reaches_the_one_whom_it_concerns(door: httpx.Client, path: str, by: str) -> None:
    """Interface and fleet go to the hub over verified TLS, pages go to the dashboard."""
    told = door.get(path).json()

    assert (told["by"], told["path"]) == (by, path)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/METRICS",
        "//metrics",
        "/metrics/",
        "/x/../metrics",
        "/%6detrics",
        "/_stcore/metrics",
        "/_stcore//metrics",
        "/_stcore/agent",
        "/_stcore/agent/run",
    ],
)
def test_a_page_for_the_inside_is_not_found(door: httpx.Client, path: str) -> None:
    """However it is spelt, what is measured and what steers pages stays behind the door."""
    answer = door.request("GET", httpx.URL(str(door.base_url), raw_path=path.encode()))

    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("path", ["/api/v1/me", "/"])
def test_a_forged_identity_is_dropped_at_the_door(door: httpx.Client, path: str) -> None:
    """Nobody becomes somebody else by a header, and the address told on is the true one."""
    forged = {"X-Consilium-User": "admin", "x-consilium-roles": "admin"}

    told = door.get(path, headers=forged | {"X-Forwarded-For": "203.0.113.7"}).json()["headers"]

    assert [name for name in told if name.lower().startswith("x-consilium")] == []
    assert told["X-Forwarded-For"] == HOST


def test_a_browser_is_told_to_stay_with_tls(door: httpx.Client) -> None:
    """After the first visit no request travels readable."""
    assert "max-age=31536000" in door.get("/").headers["Strict-Transport-Security"]
