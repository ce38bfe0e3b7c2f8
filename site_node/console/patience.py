"""Patience: whoever guesses the passphrase of the hospital's key waits longer each time."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from compliance.errors import Refused

WRONG, WAIT = "key.passphrase", "key.wait"
FREE = 3
LONGEST = 60.0


class Patience:
    """Lets one act at a time try the key; wrong passphrases make the next one wait.

    Three are free; then 1, 2, 4 … 60 seconds. It never locks for good: that would be a lever for
    whoever wants to keep the steward from withdrawing.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock, self._one = clock, threading.Lock()
        self._missed, self._until = 0, 0.0

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Try once; a right passphrase ends the waiting.

        Raises:
            Refused: it is too early (`key.wait`); the key was not tried.
        """
        with self._one:
            self._check()
            try:
                yield
            except Refused as error:
                if error.rule == WRONG:
                    self._miss()
                raise
            self._missed = 0

    def _check(self) -> None:
        left = self._until - self._clock()
        if left > 0:
            raise Refused(
                WAIT,
                sentence=f"Too many wrong passphrases: the next one may be tried in "
                f"{math.ceil(left)} s. Nothing was signed.",
            )

    def _miss(self) -> None:
        self._missed += 1
        if self._missed >= FREE:
            self._until = self._clock() + min(LONGEST, 2.0 ** (self._missed - FREE))
