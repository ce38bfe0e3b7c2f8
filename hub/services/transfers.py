"""How many bytes of an order or an answer have passed the gateway so far, by hospital.

Kept in memory: it is a view of what is under way, and no record.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hub.services.clock import Clock, text_of

PULL, DOWN, UP = "pull-messages", "pull-object", "push-object"


@dataclass
class Carried:
    """Bytes of the newest order down to a hospital, and of its answer up to here."""

    down: int = 0
    up: int = 0
    at: str = ""

    def plain(self) -> dict[str, object]:
        """For machines."""
        return {"down": self.down, "up": self.up, "at": self.at}


class Transfers:
    """Counts bytes as they pass.

    Args:
        clock: the time now.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._carried: dict[str, Carried] = {}

    def moved(self, site: str, name: str, asked: int, answered: int) -> None:
        """Count one request: its fleet name, bytes of the request and of the answer."""
        with self._lock:
            if name == PULL and answered:
                self._carried[site] = Carried()
            row = self._carried.setdefault(site, Carried())
            if name == DOWN:
                row.down += answered
            elif name == UP:
                row.up += asked
            row.at = text_of(self._clock)

    def of(self, site: str) -> dict[str, object]:
        """What was carried for a hospital since its newest order."""
        with self._lock:
            return self._carried.get(site, Carried()).plain()
