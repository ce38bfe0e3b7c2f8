"""Studies whose log nobody has any more: given up by a person, and put on record.

The consortium's list names them for ever. Until somebody says that a log is lost, its absence is
taken for an attack and nothing is served; afterwards a copy that turns up is not taken in again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from compliance.errors import NotReady
from compliance.records.decisions import ErasureDone
from compliance.records.envelope import Event, parse_event
from compliance.records.kinds import CONSORTIUM
from compliance.signing.note import parse

FILE = "given-up.json"


class GivenUp:
    """The charters of such studies, in a file of the home.

    Args:
        home: the hub's home; None has none.
    """

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FILE

    def charters(self) -> list[str]:
        """Ids of charters, sorted.

        Raises:
            NotReady: the file was damaged.
        """
        if self._path is None or not self._path.exists():
            return []
        try:
            return sorted(map(str, json.loads(self._path.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            raise NotReady(
                f"{self._path} cannot be read: it lists studies that were given up.",
                "Write [] into it, then say again what is lost: "
                "`consilium hub resume --without STUDY`.",
            ) from None

    def add(self, charters: Sequence[str]) -> None:
        """Write down that these are lost, whole or not at all."""
        if self._path is None or not charters:
            return
        part = self._path.with_name(FILE + ".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(sorted({*self.charters(), *charters}), file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def gone(events: Iterable[Event], hub: str) -> set[str]:
    """Charters of which the hub itself said that their records are gone.

    Args:
        events: of the consortium's log.
        hub: name of the hub's events key; a hospital that ends its own copy ends no study.
    """
    return {
        str(event.body.commitment)
        for event in events
        if isinstance(event.body, ErasureDone) and event.actor == hub
    }


def gone_in(entries: Iterable[bytes], hub: str) -> set[str]:
    """The same, from the entries of the consortium's log."""
    return gone((parse_event(parse(note).text, kinds=CONSORTIUM) for note in entries), hub)
