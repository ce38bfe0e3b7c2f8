"""The bell between ServerApp and gateway: an order was pushed, so ask the SuperLink for it now.

A datagram on a Unix socket in the hub's own folder; it carries nothing. A bell that cannot be hung
or heard costs up to two seconds a round and nothing else.

Source: design/federation.md §2.2.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

LONGEST_PATH = 100


def bell_path(home: Path) -> Path:
    """Where the bell of a hub hangs."""
    return home / "run" / "bell.sock"


def ring(path: Path) -> None:
    """Ring; nobody listening is no fault."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.setblocking(False)  # noqa: FBT003 - the standard library takes it by place
        line.sendto(b"!", str(path))


class Bell:
    """Hears the bell within one event loop.

    Args:
        path: the socket; a folder that only the hub's user may enter.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rung = asyncio.Event()
        self._line: socket.socket | None = None

    def hang(self) -> None:
        """Begin to listen in the running loop; asked again, or where it cannot, it does nothing."""
        if self._line is not None or len(str(self._path)) > LONGEST_PATH:
            return
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.setblocking(False)  # noqa: FBT003 - the standard library takes it by place
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
            self._line.bind(str(self._path))
            asyncio.get_running_loop().add_reader(self._line.fileno(), self._hear)

    def take_down(self) -> None:
        """Listen no more."""
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(RuntimeError):
                asyncio.get_running_loop().remove_reader(line.fileno())
            line.close()

    def _hear(self) -> None:
        """Empty the socket and wake everybody who waits."""
        with contextlib.suppress(BlockingIOError):
            while self._line is not None and self._line.recv(16):
                pass
        rung, self._rung = self._rung, asyncio.Event()
        rung.set()

    async def heard(self) -> None:
        """Wait for the next ring."""
        await self._rung.wait()
