"""A PostgreSQL of its own for the tests: no root rights, a random loopback port, gone afterwards.

Never Debian's own cluster and never port 5432: a test must not touch what somebody uses.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from tests.needs import postgres_programs

OWNER = "postgres"
SETTINGS = (
    "-c fsync=off -c synchronous_commit=off -c full_page_writes=off "
    "-c listen_addresses=127.0.0.1 -c max_connections=60"
)


class Cluster:
    """A running server; each database of it is new.

    Args:
        programs: folder of the server's programs.
        port: on loopback.
        socket: folder of its socket.
    """

    def __init__(self, programs: Path, port: int, socket: Path) -> None:
        self._programs, self._port, self._socket = programs, port, socket

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"t{uuid4().hex}"
        sql = f"CREATE DATABASE {name}"
        where = ["-h", str(self._socket), "-p", str(self._port), "-U", OWNER, "-d", "postgres"]
        _run([str(self._programs / "psql"), *where, "-q", "-c", sql])
        return f"postgresql+psycopg://{OWNER}@127.0.0.1:{self._port}/{name}"


@contextmanager
def cluster(*, durable: bool = False) -> Iterator[Cluster]:
    """Make a cluster in a temporary folder, start it, and end it at once afterwards.

    Args:
        durable: every commit waits for the disk; slower, for measuring and for power cuts.
    """
    programs = postgres_programs()
    assert programs is not None, "call need('postgres') first"
    folder = Path(tempfile.mkdtemp(prefix="consilium-pg-"))
    try:
        folder.chmod(0o711)
        data, port = folder / "data", _free_port()
        data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(folder, OWNER)
            shutil.chown(data, OWNER)
        make = ["-D", str(data), "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-sync"]
        _run([*_as_owner(), str(programs / "initdb"), *make])
        control = [*_as_owner(), str(programs / "pg_ctl"), "-D", str(data), "-w", "-s"]
        settings = SETTINGS.replace("=off", "=on") if durable else SETTINGS
        options = f"-p {port} -k {folder} {settings}"
        _run([*control, "-o", options, "-l", str(folder / "server.log"), "start"])
        try:
            yield Cluster(programs, port, folder)
        finally:
            with suppress(subprocess.CalledProcessError):
                _run([*control, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _as_owner() -> list[str]:
    """The server refuses root: root starts it as the user that the package made."""
    if os.geteuid() != 0:
        return []
    return ["runuser", "-u", OWNER, "--"]


def _run(words: list[str]) -> None:
    subprocess.run(words, check=True, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
