"""A home from a backup has forgotten what it signed since: each log rests until others spoke.

Whoever cosigns an old state helps a hub to a second history. A log rests until a quorum of the
other witnesses has cosigned, after the restore, what is mirrored here: whatever this site cosigned
before had such a quorum too, and two quorums share a hospital. What it said before, the log then
tells. Orders from before the restore may have been answered already and never are again.

The mark lies beside the database and is read at each question, so that it holds in any process.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

from compliance.errors import Malformed, NotReady
from compliance.ledger.policy import AHEAD_SECONDS, Policy
from compliance.records.types import seconds_of, time_text
from compliance.rules.logs import State, family_of
from site_node.gate.journal import Journal

FILE = "restored.json"


@dataclass(frozen=True)
class Mark:
    """When this home came from a backup, and which logs have caught up since.

    Args:
        since: time of the restore, UTC; cosignatures and orders count from here on.
        made: time of the backup, UTC.
        awake: logs that rest no more.
    """

    since: str
    made: str
    awake: tuple[str, ...] = ()


class Restored:
    """The mark of a home.

    Args:
        home: of the site.
        site: its name.
        journal: is told when a log rests no more.
    """

    def __init__(self, home: Path, site: str, journal: Journal) -> None:
        self._path, self._site, self._journal = home / FILE, site, journal

    def mark(self) -> Mark | None:
        """The mark, or None for a home that never came from a backup.

        Raises:
            NotReady: its file was damaged; nothing is cosigned then.
        """
        try:
            told = json.loads(self._path.read_text(encoding="utf-8"))
            seconds_of(str(told["since"]))
            return Mark(str(told["since"]), str(told["made"]), tuple(map(str, told["awake"])))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, Malformed):
            raise NotReady(
                f"{self._path} cannot be read: this site was restored and must not cosign.",
                'Write {"since": "TIME OF NOW, UTC", "made": "", "awake": []} into it.',
            ) from None

    def hold(self, now: datetime) -> None:
        """Let every log rest from now on: the home was put back by other means."""
        self._journal.write("restored.held")
        write_mark(self._path, new_mark(now, ""))

    def rests(self, log: str) -> bool:
        """Whether nothing may be cosigned or trained by this log yet."""
        mark = self.mark()
        return mark is not None and log not in mark.awake

    def predates(self, said: str) -> bool:
        """Whether something was said before the restore, so that its answer may be forgotten."""
        mark = self.mark()
        return mark is not None and said <= mark.since

    def seen_by_others(self, log: str, state: State, note: bytes, now: int) -> bool:
        """Whether a quorum of the others cosigned this checkpoint since the restore.

        Args:
            log: which log.
            state: its fold up to the checkpoint.
            note: the checkpoint, with cosignatures.
            now: seconds since 1970.
        """
        mark = self.mark()
        if mark is None:
            return True
        since = int(seconds_of(mark.since).timestamp()) + 1
        policy = Policy.parse(family_of(log).policy(state))
        return policy.without(self._site, note, since, now + AHEAD_SECONDS)

    def wake(self, log: str, why: str) -> None:
        """Let a log rest no more; the journal says why."""
        mark = self.mark()
        if mark is None or log in mark.awake:
            return
        self._journal.write("restored.awake", study=log, why=why)
        write_mark(self._path, replace(mark, awake=(*mark.awake, log)))


def write_mark(path: Path, mark: Mark) -> None:
    """Write a mark to a file, whole or not at all."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(asdict(mark), file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def new_mark(now: datetime, made: str) -> Mark:
    """The mark of a home that is restored now."""
    return Mark(time_text(now), made)
