"""Child processes of the demo: each in its own group, all ended at the end, none left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from compliance.errors import NotReady


class CommandFailed(NotReady):
    """One of our own commands ended badly; carries what it said."""

    def __init__(self, words: str, code: int, said: str) -> None:
        self.code = code
        super().__init__(f"`consilium {words}` ended with {code}: {said.strip()[-1500:]}", "")


class Cast:
    """Runs `consilium` commands and servers; `end()` leaves nothing running.

    Args:
        state: folder for logs.
        environment: variables of every child.
    """

    def __init__(self, state: Path, environment: Mapping[str, str]) -> None:
        self._state = state
        self._environment = dict(environment)
        self._servers: list[tuple[str, subprocess.Popen[bytes]]] = []

    def ask(self, *words: str, stdin: str | None = None) -> Any:
        """Run one command with `--json` and return what it printed."""
        done = self.run(*words, "--json", stdin=stdin)
        lines = [line for line in done.splitlines() if line.strip()]
        try:
            return json.loads(done)
        except ValueError:
            return json.loads(lines[-1])

    def run(self, *words: str, stdin: str | None = None, module: str = "compliance.command") -> str:
        """Run one command to its end and return its standard output.

        Raises:
            CommandFailed: it ended with another code than 0.
        """
        done = subprocess.run(
            [sys.executable, "-m", module, *words],
            input=stdin,
            capture_output=True,
            text=True,
            env=self._environment,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(" ".join(words), done.returncode, done.stderr or done.stdout)
        return done.stdout

    def lines(self, *words: str, seconds: float | None = None) -> Iterator[str]:
        """Run one command and hand on each line of its standard output when it comes.

        Args:
            words: the command.
            seconds: after so long the command is ended, if a number is given.

        Raises:
            CommandFailed: it ended with another code than 0.
        """
        with subprocess.Popen(
            [sys.executable, "-m", "compliance.command", *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self._environment,
        ) as child:
            timer = threading.Timer(seconds or threading.TIMEOUT_MAX, child.terminate)
            timer.daemon = True
            timer.start()
            try:
                for line in child.stdout or ():
                    yield line.rstrip("\n")
                said = child.stderr.read() if child.stderr else ""
            finally:
                timer.cancel()
                child.terminate()
        if child.returncode:
            raise CommandFailed(" ".join(words), child.returncode, said)

    def serve(
        self, name: str, *words: str, module: str = "compliance.command"
    ) -> subprocess.Popen[bytes]:
        """Start a server in its own process group; its output goes to `<state>/logs/<name>.log`."""
        logs = self._state / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        with (logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", module, *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        self._servers.append((name, child))
        return child

    def servers(self) -> list[tuple[str, subprocess.Popen[bytes]]]:
        """Every server that is meant to run, by name."""
        return list(self._servers)

    def stop(self, name: str) -> None:
        """End one server politely."""
        for child in [one for called, one in self._servers if called == name]:
            _signal_group(child, signal.SIGTERM)
            child.wait(timeout=40)
            self.forget(child)

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """Stop counting on a server that somebody else ends."""
        self._servers = [(name, one) for name, one in self._servers if one is not child]

    def check(self) -> None:
        """Raise when a server has ended by itself."""
        for name, child in self._servers:
            if child.poll() is not None:
                log = self._state / "logs" / f"{name}.log"
                tail = log.read_text(errors="replace")[-1500:]
                raise NotReady(f"{name} ended with {child.returncode}: {tail}", f"See {log}.")

    def end(self) -> None:
        """End every server: TERM, ten seconds, KILL, always the whole group."""
        for _, child in reversed(self._servers):
            _signal_group(child, signal.SIGTERM)
        for _, child in reversed(self._servers):
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=10)
            _signal_group(child, signal.SIGKILL)
            child.wait()
        self._servers.clear()


def _signal_group(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        return


def free_port() -> int:
    """A loopback port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
