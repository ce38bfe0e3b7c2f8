"""The order in hand: which round this hospital works on just now, and how far it is.

The program that carries out an order holds a lock on one small file; it lets go of it however it
ends. The agent reads it for the sign of life, so that the hub does not send the order again.

Source: design/federation.md §3.2.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from compliance.records.order import Order

SIZE = 512
TENTHS = 10
WAYS = ("down", "up")


@dataclass(frozen=True)
class InHand:
    """An order in hand.

    Args:
        log: id of the study's log.
        round: its round.
        kind: `train` or `evaluate`.
        share: how much of the training is done, 0 to 1 in tenths.
    """

    log: str
    round: int
    kind: str
    share: float

    def plain(self) -> dict[str, object]:
        """Numbers and names of a closed list; nothing of a dataset."""
        return {"log": self.log, "round": self.round, "kind": self.kind, "share": self.share}


class AtWork:
    """One file below `<home>/run`.

    Args:
        home: of the site.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "run" / "order"
        self._file: int | None = None
        self._order: Order | None = None
        self._tenths = -1

    @contextmanager
    def hold(self, order: Order) -> Iterator[None]:
        """Hold the file while this order is carried out."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            with contextlib.suppress(BlockingIOError):  # one that hangs keeps its word
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._file, self._order, self._tenths = file, order, -1
                self.tell(0.0)
            yield
        finally:
            self._file = self._order = None
            os.close(file)

    def tell(self, share: float) -> None:
        """Say how much of the training is done; only whole tenths are written down."""
        tenths = max(0, min(TENTHS, int(share * TENTHS)))
        if self._file is None or self._order is None or tenths == self._tenths:
            return
        self._tenths = tenths
        told = InHand(self._order.log, self._order.round, self._order.kind, tenths / TENTHS)
        os.pwrite(self._file, json.dumps(told.plain()).encode().ljust(SIZE), 0)

    def carried(self, told: object) -> None:
        """Keep what the hub says of the way of this site's messages: bytes down and up."""
        if isinstance(told, dict):
            kept = {way: told[way] for way in WAYS if isinstance(told.get(way), int)}
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.with_name("carried").write_text(json.dumps(kept), encoding="ascii")

    def progress(self) -> dict[str, object] | None:
        """The order in hand and the bytes of its messages so far; None when there is none."""
        hand = self.look()
        if hand is None:
            return None
        with contextlib.suppress(OSError, ValueError):
            carried: dict[str, object] = json.loads(self._path.with_name("carried").read_text())
            return hand.plain() | carried
        return hand.plain()

    def look(self) -> InHand | None:
        """The order in hand, or None when nobody works on one."""
        try:
            file = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(os.pread(file, SIZE, 0))
        else:
            return None
        finally:
            os.close(file)


def _read(data: bytes) -> InHand | None:
    try:
        return InHand(**json.loads(data))
    except (ValueError, TypeError):
        return None  # just being written for the first time
