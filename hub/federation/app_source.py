"""The app source: answers Flower's question for the bundle, on loopback, below a random path.

`flwr run @publisher/app` makes the SuperLink ask whoever `FLWR_SUPERGRID_API_URL` names; that is
the hub itself. The bundle and its signatures are handed out unchanged.

Source: design/federation.md §2.3.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hub.federation.bundle import APP, Bundle

MOST_BYTES = 4096


class _Server(ThreadingHTTPServer):
    """Listens on loopback and knows what it hands out."""

    daemon_threads = True

    def __init__(self, bundle: Bundle, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bundle, self.secret = bundle, secret

    @property
    def url(self) -> str:
        """Address with the secret part."""
        return f"http://127.0.0.1:{self.server_address[1]}/{self.secret}"


class AppSource:
    """A loopback server with two paths: the question and the bundle.

    Args:
        bundle: what is handed out.
        secret: hex that nobody else knows, part of every path.
    """

    def __init__(self, bundle: Bundle, secret: str) -> None:
        self._server = _Server(bundle, secret)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        """What `FLWR_SUPERGRID_API_URL` must say."""
        return f"{self._server.url}/v1"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """End; calling it twice does no harm."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers the two paths; everything else is not found."""

    server: _Server

    def do_POST(self) -> None:
        """`/v1/hub/fetch-fab`: where the bundle lies and who signed it."""
        if self.path != f"/{self.server.secret}/v1/hub/fetch-fab" or self._app() != APP:
            return self._send(404, b"{}")
        told = {
            "fab_url": f"{self.server.url}/bundle.fab",
            "verifications": self.server.bundle.verifications,
        }
        return self._send(200, json.dumps(told).encode())

    def do_GET(self) -> None:
        """`/bundle.fab`: the bytes."""
        if self.path != f"/{self.server.secret}/bundle.fab":
            return self._send(404, b"{}")
        return self._send(200, self.server.bundle.content, "application/octet-stream")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the path is a secret."""

    def _app(self) -> object:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MOST_BYTES:
            return None
        try:
            told = json.loads(self.rfile.read(length))
        except ValueError:
            return None
        return told.get("app_id") if isinstance(told, dict) else None

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
