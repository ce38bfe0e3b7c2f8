"""A hub that shows what a test tells it to show, for whoever checks a log."""

from __future__ import annotations

from compliance.errors import NotReady
from compliance.ledger.merkle import Tree, leaf_hash


class FakeHub:
    """A hub that shows what a test tells it to show."""

    def __init__(self, entries: list[bytes], note: bytes, unwitnessed: bytes = b"") -> None:
        self.all, self.note, self.unwitnessed = entries, note, unwitnessed

    def checkpoint(self, log: str, *, latest: bool = False) -> bytes:
        """The checkpoint that this hub shows."""
        if self.unwitnessed and not latest:
            raise NotReady("no checkpoint has its quorum yet.", "Wait.")
        return self.unwitnessed or self.note

    def entries(self, log: str, start: int, stop: int) -> list[bytes]:
        """Its entries."""
        return self.all[start:stop]

    def consistency(self, log: str, old: int, new: int) -> list[bytes]:
        """A proof over the entries that it shows now."""
        tree = Tree()
        for entry in self.all:
            tree.append(leaf_hash(entry))
        return tree.consistency(old, new)
