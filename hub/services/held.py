"""Logs that this hub may only read: after a restore or a rebuild, until enough witnesses spoke.

Whoever appends to an old state makes a second history. The mark lies in the home beside the
database, so that no copy of a database is ever without it; see docs/decisions/0021.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from compliance.errors import NotReady, Refused
from compliance.rules.arrival import open_note
from compliance.rules.logs import family_of
from compliance.rules.verdict import Denied
from hub.services.given_up import GivenUp

FILE = "read-only.json"
READ_ONLY = "hub.readonly"
REBUILT, RESTORED = "rebuilt", "restored"
EVERY = "*"
"""Stands for every log, also one that is not known here yet."""


@dataclass(frozen=True)
class Mark:
    """Why a hub only reads.

    Args:
        why: `rebuilt` or `restored`.
        since: statements of witnesses count from this moment on, UTC.
        logs: which logs rest; `*` stands for all.
    """

    why: str
    since: str
    logs: tuple[str, ...]


class Held:
    """The mark of a home; read from its file at each question, so that it holds in any process.

    Beside it stands what was given up.

    Args:
        home: the hub's home; None has no mark.
    """

    def __init__(self, home: Path | None) -> None:
        self._path = None if home is None else home / FILE
        self.given_up = GivenUp(home)

    def mark(self) -> Mark | None:
        """The mark, or None when this hub may write.

        Raises:
            NotReady: its file was damaged; nothing is written then either.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
            return Mark(str(told["why"]), str(told["since"]), tuple(map(str, told["logs"])))
        except (OSError, ValueError, KeyError, TypeError):
            raise NotReady(
                f"{self._path} cannot be read: this hub was restored or rebuilt and only reads.",
                'Write {"why": "restored", "since": "TIME OF NOW, UTC", "logs": ["*"]} into it, '
                "then run `consilium hub resume`.",
            ) from None

    def holds(self, log: str) -> bool:
        """Whether this log rests."""
        mark = self.mark()
        return mark is not None and bool({log, EVERY} & set(mark.logs))

    def check(self, log: str) -> None:
        """Let nothing be written into a log that rests.

        Raises:
            Refused: it does.
        """
        if self.holds(log):
            raise Refused(
                READ_ONLY,
                sentence="This hub was restored or rebuilt and only reads: more may have been "
                "said than it knows. Its administrator runs `consilium hub resume` with the "
                "hospitals' mirrors.",
            )

    def keep(self, mark: Mark) -> None:
        """Write the mark; with no log left it goes away."""
        if self._path is None:
            return
        if not mark.logs:
            self._path.unlink(missing_ok=True)
            return
        write_mark(self._path, mark)


def write_mark(path: Path, mark: Mark) -> None:
    """Write a mark to a file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(mark), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def takes_a_key(log: str, note: bytes) -> bool:
    """Whether this note replaces a key: a successor takes nothing else before it is one."""
    opened = open_note(note, family_of(log).kinds)
    return not isinstance(opened, Denied) and opened.event.type == "key.rotated"


def not_taken_over(origin: str) -> Refused:
    """What is said to whoever writes to a hub that is not the hub of this log yet."""
    return Refused(
        READ_ONLY,
        sentence=f"The keys of this hub are not in force in {origin}, or their files are missing. "
        "A successor waits for most of the hospitals: `consilium site takeover`.",
    )
