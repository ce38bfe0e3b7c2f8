"""Passwords as argon2id hashes; each check takes 64 MiB, so only a few run at once.

Measured: 0.3 s and 64 MiB a check. Without the limit a crowd at the door would take all memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property

from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from compliance.errors import Unreachable

AT_ONCE = 3
STRONG = Argon2Hasher(time_cost=3, memory_cost=65536, parallelism=4)


class Passwords:
    """Makes and checks password hashes.

    Args:
        hasher: argon2id with its cost.
        patience: seconds that one waits for a free place.
    """

    def __init__(self, *, hasher: Argon2Hasher = STRONG, patience: float = 2.0) -> None:
        self._hasher, self._patience = PasswordHash((hasher,)), patience
        self._few = threading.BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """The hash of a new password.

        Raises:
            Unreachable: too many checks run just now.
        """
        with self.place():
            return self._hasher.hash(password)

    def right(self, password: str, stored: str | None) -> bool:
        """Whether the password is right; without a stored hash it takes as long and is wrong.

        Raises:
            Unreachable: too many checks run just now.
        """
        with self.place():
            return self._hasher.verify(password, stored or self._dummy) and stored is not None

    @contextmanager
    def place(self) -> Iterator[None]:
        """Take one of the few places where a check may run.

        Raises:
            Unreachable: all are taken.
        """
        if not self._few.acquire(timeout=self._patience):
            raise Unreachable("too many people sign in just now.", "Try again in a second.")
        try:
            yield
        finally:
            self._few.release()

    @cached_property
    def _dummy(self) -> str:
        """A hash for names that nobody has, so that a stranger learns no name by the clock."""
        return self._hasher.hash("nobody has this password")
