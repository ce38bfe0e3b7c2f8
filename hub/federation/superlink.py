"""Flower's SuperLink as a supervised child, on loopback only.

Flower's Control API has no login: whoever reaches the port may start runs. So it listens on
127.0.0.1, and the gateway lets a closed list of fleet names through. It keeps its state in memory:
the log is ours, and a file would cost a sixth of each round (docs/decisions/0017).

Source: design/federation.md §1, §2.1.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import NotReady
from hub.federation.commands import flower_environment, program

START_SECONDS = 60
IN_MEMORY = ":flwr-in-memory:"
CONNECTION = "consilium"


@dataclass(frozen=True)
class Loopback:
    """Where the SuperLink listens and by which files it speaks TLS.

    Args:
        port: on 127.0.0.1.
        tls: folder with ca.pem, server.pem and server.key of the hub's own authority.
        app_source: URL below which the bundle is found, ending in `/v1`.
    """

    port: int
    tls: Path
    app_source: str

    @property
    def address(self) -> str:
        """Host and port as Flower's commands take them."""
        return f"127.0.0.1:{self.port}"


class SuperLink:
    """Starts, watches and ends the SuperLink.

    Args:
        folder: `<home>/flower`: log, Flower's own home.
        place: where it listens.
        environment: of this process; children get a closed list of it.
        answers: says whether the port answers over verified TLS.
    """

    def __init__(
        self,
        *,
        folder: Path,
        place: Loopback,
        environment: Mapping[str, str],
        answers: Callable[[Loopback], bool],
    ) -> None:
        self._folder, self.place, self._answers = folder, place, answers
        self._environment = flower_environment(environment, folder / "home") | {
            "FLWR_SUPERGRID_API_URL": place.app_source,
        }
        self._keeper: subprocess.Popen[bytes] | None = None
        self._over = threading.Event()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which `flwr` finds this SuperLink."""
        return dict(self._environment)

    def start(self) -> None:
        """Start the SuperLink and wait until it answers; it knows no node and no run yet.

        Raises:
            NotReady: it ended, or did not answer in a minute.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        end_leftover(self._folder / "superlink.pid")
        self._write_connection()
        self._over.clear()
        with (self._folder / "superlink.log").open("ab") as log:
            self._keeper = subprocess.Popen(
                [sys.executable, "-m", "hub.federation.keeper", *self.command()],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        remember(self._folder / "superlink.pid", self._keeper.pid)
        self._wait_until_it_answers()

    def command(self) -> list[str]:
        """The command line, as tested against the locked version of Flower."""
        tls = self.place.tls
        return [
            *(program("flower-superlink"), "--host", "127.0.0.1", "--port", str(self.place.port)),
            *("--ssl-certfile", str(tls / "server.pem"), "--ssl-keyfile", str(tls / "server.key")),
            *("--ssl-ca-certfile", str(tls / "ca.pem"), "--enable-supernode-auth"),
            "--disable-runtime-dependency-installation",
            *("--database", IN_MEMORY),
        ]

    def running(self) -> bool:
        """Whether the child is alive."""
        return self._keeper is not None and self._keeper.poll() is None

    def stop(self) -> None:
        """End it with all its children; calling it twice does no harm."""
        self._over.set()
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        if keeper.stdin is not None:
            keeper.stdin.close()
        try:
            keeper.wait(timeout=15)
        except subprocess.TimeoutExpired:
            os.killpg(keeper.pid, signal.SIGKILL)
            keeper.wait()
        (self._folder / "superlink.pid").unlink(missing_ok=True)

    def _write_connection(self) -> None:
        home = self._folder / "home"
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        ca = self.place.tls / "ca.pem"
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "{CONNECTION}"\n\n[superlink.{CONNECTION}]\n'
            f'address = "{self.place.address}"\nroot-certificates = "{ca}"\n',
            encoding="utf-8",
        )

    def _wait_until_it_answers(self) -> None:
        for _ in range(START_SECONDS * 5):
            if self._over.is_set():
                return
            if not self.running():
                break
            if self._answers(self.place):
                return
            self._over.wait(0.2)
        self.stop()
        log = self._folder / "superlink.log"
        tail = log.read_text(encoding="utf-8", errors="replace")[-600:].strip()
        raise NotReady(f"Flower's SuperLink did not start: {tail}", f"See {log}.")


def remember(path: Path, pid: int) -> None:
    """Write down a child by its pid and its start time; a pid alone may belong to another."""
    path.write_text(f"{pid} {_start_time(pid)}", encoding="ascii")


def end_leftover(path: Path) -> None:
    """End the child that a killed hub may have left behind."""
    with contextlib.suppress(FileNotFoundError, ValueError, ProcessLookupError):
        pid, began = path.read_text(encoding="ascii").split()
        if _start_time(int(pid)) == began:
            os.killpg(int(pid), signal.SIGKILL)
    path.unlink(missing_ok=True)


def _start_time(pid: int) -> str:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return "unknown"
    return text.rpartition(")")[2].split()[19]
