"""The door of the console: a Unix socket in a folder that only the site's own user can enter.

No port opens. uvicorn would give the socket to everybody (0666), whatever the umask is: so it is
bound here, and the folder's mode is checked each time.
"""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

import uvicorn
from starlette.types import ASGIApp

from compliance.errors import ConsiliumError, NotReady

NAME, LOCK = "console.sock", "console.lock"
LONGEST = 100
"""Most characters of the socket's path: the system takes 107 (sys/un.h), minus some air."""
OTHERS = 0o077


def socket_path(home: Path) -> Path:
    """Where the socket of a home lies.

    Raises:
        NotReady: the path is longer than such sockets allow.
    """
    path = home / "run" / NAME
    if len(os.fsencode(path)) > LONGEST:
        raise NotReady(
            f"the path of the console's socket is longer than {LONGEST} characters.",
            "Use a home with a shorter path; the commands do all that the console does.",
        )
    return path


def private_folder(folder: Path) -> None:
    """Make the folder of the socket, or see that nobody else can enter it.

    Raises:
        NotReady: it is open to others, or belongs to somebody else.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_mode & OTHERS or found.st_uid != os.geteuid():
        raise NotReady(
            f"the folder {folder} is open to others, so the console stays shut.",
            f"Run as its owner: chmod 700 {folder}",
        )


class Door:
    """Keeps the socket open while this process lives; of several processes one does.

    Args:
        home: folder of the site.
        app: what answers.
        say: prints one line for the person who looks on.
    """

    def __init__(self, home: Path, app: ASGIApp, say: Callable[[str], None]) -> None:
        self._home, self._app, self._say = home, app, say
        self._lock: TextIO | None = None
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread()
        self._told = ""

    @property
    def open(self) -> bool:
        """Whether this process answers."""
        return self._server is not None and self._thread.is_alive()

    def tend(self, *, needed: bool) -> None:
        """Open the door unless another process holds it; what is wrong is said once."""
        if not needed:
            return self.stop()
        try:
            self.unlock()
        except (ConsiliumError, OSError) as error:
            if str(error) != self._told:
                self._told = str(error)
                self._say(f"The console is off. {error}")
        return None

    def unlock(self) -> bool:
        """Open the door; whether this process holds it then.

        Raises:
            NotReady: the path is too long, or the folder is open to others.
        """
        if self.open:
            return True
        path = socket_path(self._home)
        private_folder(path.parent)
        self._lock = self._lock or _held(path.parent / LOCK)
        if self._lock is None:
            return False
        self._serve(path)
        return True

    def _serve(self, path: Path) -> None:
        path.unlink(missing_ok=True)  # left by a process that was killed; the lock is ours
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()  # whoever comes before the server has started waits
        config = uvicorn.Config(
            self._app,
            log_level="critical",
            access_log=False,
            lifespan="off",
            loop="asyncio",
            ws="none",
            timeout_graceful_shutdown=3,
        )
        server = uvicorn.Server(config)
        run = server.run
        self._thread = threading.Thread(target=lambda: run([listener]), name="console", daemon=True)
        self._thread.start()
        self._server = server

    def stop(self) -> None:
        """Close the door, and let go of it."""
        if self._server is not None:
            self._server.should_exit = True
            self._thread.join()
            self._server = None
            (self._home / "run" / NAME).unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def _held(path: Path) -> TextIO | None:
    """The lock, or None when another process has it."""
    file = path.open("w", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
