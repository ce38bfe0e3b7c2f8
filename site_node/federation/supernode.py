"""Flower's SuperNode as a supervised child: it dials out, and comes back by itself.

A SuperNode that was restarted before the hub missed it is refused for up to a minute (Flower's exit
305, "could not be activated"); we wait and say so.

A SuperNode that took an order waits for its answer for ever, and meanwhile asks for no other one.
Flower notices a ClientApp that died, not one that never began (its SuperExec is gone or hangs):
such a SuperNode is ended here and started anew.

Source: design/federation.md §1, §2.5; flwr 1.41 (`start_client_internal._push_messages`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from compliance.errors import NotReady
from site_node.federation.keeper import descendants
from site_node.federation.surroundings import child_environment
from site_node.settings import Settings, process_environment

BACKOFF = (5, 10, 20, 40, 60)
LARGEST_LOG = 5 << 20
START_SECONDS = 90.0
"""Flower itself tries to start a ClientApp again after 30 s without a sign of life."""

UP = "up"
CONNECTING = "connecting"
WAITING = "waiting to be activated again (≤ 60 s)"
REFUSED = "refused"
STOPPED = "stopped"
BAD_BUNDLE = ("FAB verification failed", "FAB could not be verified")
"""What Flower prints when it refused a bundle: wrong bytes, or no trusted signature."""

TAKEN = "Received successfully"
BEGUN = ("Start `flwr-clientapp`", "Sending:")
"""What it prints when it has taken an order, and when the work on it began or is answered."""

SIGNS = {
    "SuperNode ID:": UP,
    "Connection attempt failed": CONNECTING,
    "could not be activated": WAITING,
    "404 Not Found": REFUSED,
    "401 Unauthorized": REFUSED,
    "CERTIFICATE_VERIFY_FAILED": REFUSED,
}
"""What Flower prints, and what it means; read from the installed package and tried."""


class SuperNodeSupervisor:
    """Keeps one SuperNode running until told to stop.

    Args:
        settings: of a site that has joined.
        environment: of this process; children get a closed list of it.
        backoff: seconds before each new start, the last one repeated.
        bundle_refused: called when a bundle was refused; nothing of it ran.
        start_seconds: how long an order may lie before the work on it begins.
    """

    def __init__(
        self,
        settings: Settings,
        environment: Mapping[str, str] | None = None,
        backoff: tuple[int, ...] = BACKOFF,
        bundle_refused: Callable[[], None] = lambda: None,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self._settings, self._backoff = settings, backoff
        self._start_seconds = start_seconds
        self._bundle_refused = bundle_refused
        self._folder = settings.home / "flower"
        self._variables = process_environment() if environment is None else environment
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._state = STOPPED
        self.starts = 0

    @property
    def state(self) -> str:
        """One of the five words above."""
        return self._state

    def start(self) -> None:
        """Begin to keep the SuperNode running; returns at once.

        Raises:
            NotReady: the site has not joined.
        """
        if not self._settings.joined or not self._settings.fleet_host:
            raise NotReady("this home belongs to no site that has joined.", "Run `site join`.")
        self._over.clear()
        self._thread = threading.Thread(target=self._keep, name="supernode", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the SuperNode with all its children; calling it twice does no harm."""
        self._over.set()
        self._end()
        if self._thread is not None:
            self._thread.join(timeout=20)
            self._thread = None
        self._state = STOPPED

    def command(self, port: int) -> list[str]:
        """The command line, as tested against the locked version of Flower."""
        home, place = self._settings.home, self._settings
        return [
            *(sys.executable, "-m", "site_node.federation.pinned_supernode"),
            *(str(place.bundle_sha256), "--superlink", f"{place.fleet_host}:{place.fleet_port}"),
            *("--root-certificates", str(place.ca_path)),
            *("--auth-supernode-private-key", str(place.keys / "flower.key")),
            *("--trusted-entities", str(home / "signers.yaml")),
            *("--host", "127.0.0.1", "--port", str(port), "--isolation", "subprocess"),
        ]

    def _keep(self) -> None:
        failures = 0
        while not self._over.is_set():
            self._state = CONNECTING
            was_up = self._run_once()
            failures = 0 if was_up else failures
            if self._over.is_set():
                break
            self._over.wait(self._backoff[min(failures, len(self._backoff) - 1)])
            failures += 1

    def _run_once(self) -> bool:
        """Start the child and read what it says until it ends; True when it was up."""
        shutil.rmtree(self._folder / "home", ignore_errors=True)
        environment = child_environment(self._variables, self._settings)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        keeper = subprocess.Popen(
            [sys.executable, "-m", "site_node.federation.keeper", *self.command(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        self._keeper, self.starts = keeper, self.starts + 1
        if self._over.is_set():
            self._end()
        with keeper:
            was_up = self._listen(keeper)
        if self._state == UP:
            self._state = CONNECTING
        return was_up

    def _listen(self, keeper: subprocess.Popen[bytes]) -> bool:
        was_up = False
        idle = threading.Timer(0, self._end)
        with self._log().open("ab") as log:
            for line in keeper.stdout or ():
                log.write(line)
                log.flush()
                text = line.decode(errors="replace")
                if TAKEN in text:
                    idle.cancel()
                    idle = threading.Timer(self._start_seconds, self._nothing_began, (keeper,))
                    idle.start()
                elif any(sign in text for sign in BEGUN):
                    idle.cancel()
                if any(sign in text for sign in BAD_BUNDLE):
                    self._bundle_refused()
                found = [word for sign, word in SIGNS.items() if sign in text]
                if found:
                    self._state = found[0]
                    was_up = was_up or found[0] == UP
        idle.cancel()
        return was_up

    def _nothing_began(self, keeper: subprocess.Popen[bytes]) -> None:
        """Write down which processes were there, and end the SuperNode: `_keep` starts another."""
        with self._log().open("a", encoding="utf-8") as log:
            log.write(f"Consilium: an order lay for {self._start_seconds:g} s and no work began; ")
            log.write("the SuperNode is started anew. Its processes were:\n")
            for pid in sorted(descendants(keeper.pid)):
                with contextlib.suppress(OSError):
                    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    log.write(f"  {pid} {b' '.join(words[:4]).decode(errors='replace')}\n")
        self._end()

    def _log(self) -> Path:
        path = self._folder / "supernode.log"
        if path.exists() and path.stat().st_size > LARGEST_LOG:
            path.replace(path.with_suffix(".log.1"))
        return path

    def _end(self) -> None:
        keeper = self._keeper
        if keeper is None or keeper.poll() is not None:
            return
        if keeper.stdin is not None and not keeper.stdin.closed:
            keeper.stdin.close()
        try:
            keeper.wait(timeout=12)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
