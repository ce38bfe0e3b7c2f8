"""Whether this home is served just now: a lock that dies with its process, and the last state."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from compliance.errors import NotReady

ABSENT = "not running"


class Presence:
    """One `hub serve` a home.

    Args:
        home: the hub's home.
    """

    def __init__(self, home: Path) -> None:
        self._folder = home / "run"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the home; the operating system lets go when the process ends, however it ends.

        Raises:
            NotReady: another process serves this home.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "serve.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                fcntl.flock(lock, fcntl.LOCK_EX)  # waits only for a `hub status` that looks
            except BlockingIOError:
                raise NotReady(
                    f"{self._folder.parent} is served by another process already.",
                    "Use that one, or end it before starting this.",
                ) from None
            self.tell("starting")
            yield

    def tell(self, state: str) -> None:
        """Write down the state for `hub status`."""
        part = self._folder / "state.part"
        part.write_text(state)
        part.replace(self._folder / "state")

    def state(self) -> str:
        """The state of the process that serves this home, or that there is none."""
        path = self._folder / "serve.lock"
        if not path.exists():
            return ABSENT
        with path.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return (self._folder / "state").read_text()
        return ABSENT
