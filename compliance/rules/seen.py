"""Which statements were said before: actors and nonces, small enough to keep for every entry.

A nonce is 32 hex digits (design/ledger.md §2); it is kept as the 16 bytes that they write.
"""

from __future__ import annotations


class Seen:
    """Every pair of an actor and a nonce so far."""

    def __init__(self) -> None:
        self._nonces: dict[str, set[bytes]] = {}
        self._size = 0

    def add(self, actor: str, nonce: str) -> None:
        """Take a pair."""
        known = self._nonces.setdefault(actor, set())
        self._size -= len(known)
        known.add(bytes.fromhex(nonce))
        self._size += len(known)

    def holds(self, actor: str, nonce: str) -> bool:
        """Whether this pair was said."""
        return bytes.fromhex(nonce) in self._nonces.get(actor, ())

    def __eq__(self, other: object) -> bool:
        """Two readers of one log have seen the same."""
        return isinstance(other, Seen) and self._nonces == other._nonces

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __len__(self) -> int:
        """How many pairs there are."""
        return self._size
