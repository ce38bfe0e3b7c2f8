"""What earlier visits saw of each log: a rollback or a fork since then is named.

Two signed checkpoints that cannot both be true are kept together: they prove it to anybody.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Protocol

from compliance.errors import Malformed, NotProven, NotReady
from compliance.ledger.checkpoint import parse_text
from compliance.ledger.merkle import check_consistency
from compliance.signing.note import parse

_LOG = re.compile(r"[0-9a-f]{1,64}|consortium")


class Grown(Protocol):
    """Who can show that a log only grew."""

    def consistency(self, log: str, old: int, new: int) -> list[bytes]:
        """Hashes that prove that the log only grew."""


class Memory:
    """The last checked checkpoint of each log: one file each, replaced in one step.

    Args:
        folder: `<home>/checkpoints`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def known(self, log: str) -> bytes | None:
        """The checkpoint of the last visit."""
        try:
            return self._path(log).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, log: str, note: bytes) -> None:
        """Remember this checkpoint."""
        path = self._path(log)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        fresh.write_bytes(note)
        fresh.replace(path)

    def _path(self, log: str) -> Path:
        if not _LOG.fullmatch(log):
            raise Malformed("log", "its name has another form")
        return self._folder / log


class Forked(NotProven):
    """Two signed checkpoints that cannot both be true."""

    def __init__(self, step: str, finding: str, *proofs: bytes) -> None:
        super().__init__(step, finding)
        self.proofs = proofs


def only_grew(source: Grown, log: str, before: bytes, note: bytes) -> None:
    """Make sure that a log holds what it held at the last visit, and in that order.

    Raises:
        Forked: it does not; carries both checkpoints.
    """
    old, new = (parse_text(parse(data).text) for data in (before, note))
    if old.origin != new.origin or new.size < old.size:
        words = f"the hub showed {old.size} entries before and shows {new.size} now"
        raise Forked("rollback", words, before, note)
    try:
        proof = source.consistency(log, old.size, new.size) if new.size > old.size else []
        check_consistency(old.size, old.root, new.size, new.root, proof)
    except (NotProven, NotReady, Malformed):
        words = f"the log does not begin with the {old.size} entries that it had before"
        raise Forked("fork", words, before, note) from None
