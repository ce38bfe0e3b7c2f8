"""A hospital's agent as a process of its own, without Flower: it mirrors, judges and cosigns."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

from site_node.federation.agent import Agent
from site_node.wiring import open_site


class NoFlower:
    """Nobody trains in this story."""

    state = "up"

    def start(self) -> None:
        """Start nothing."""

    def stop(self) -> None:
        """End nothing."""


def main(home: Path) -> None:
    """Look until ended."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with open_site(home) as rooms:
        Agent(rooms=rooms, supervisor=NoFlower(), say=print).run(stop)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
