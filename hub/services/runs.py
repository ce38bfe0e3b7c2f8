"""Flower runs: which studies need one, and the lease of the ServerApp that may write."""

from __future__ import annotations

import fcntl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from compliance.errors import Refused
from compliance.rules.state import StudyState
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService
from hub.storage import studies as rows
from hub.storage.database import Database, Transaction

Here = Callable[[str, StudyState], bool]
LEASE_SECONDS = 60
PATIENCE_SECONDS, LONGEST_PATIENCE = 30, 960
"""How long a run may take to begin. It doubles with each one that did not: on a machine too slow
for the first, a new one every half minute would take what is left of it."""
NOTED_SECONDS = 10
"""How long a run waits for its own number to be noted: it may begin before `flwr run` has ended."""
LOCK = "at-work.lock"


class RunService:
    """Runs and leases.

    Args:
        database: keeps one row a study.
        ledger: says which studies are open.
        here: whether what the next round of a study begins with lies in the registry.
        folder: of a study's files.
        clock: the time now.
    """

    def __init__(
        self,
        *,
        database: Database,
        ledger: LedgerService,
        here: Here,
        folder: Callable[[str], Path],
        clock: Clock,
    ) -> None:
        self._database, self._ledger, self._clock = database, ledger, clock
        self._here, self._folder = here, folder
        self._starts: Counter[str] = Counter()

    @contextmanager
    def at_work(self, study: str) -> Iterator[None]:
        """Hold a lock that the operating system opens when this process ends, however it ends.

        Without it a killed ServerApp is missed only when its lease has been silent for a minute.
        """
        with (self._folder(study) / LOCK).open("a") as lock:
            fcntl.flock(
                lock, fcntl.LOCK_SH
            )  # an older one that is about to be refused holds it too
            yield

    def _left(self, study: str) -> bool:
        """Whether a ServerApp was at work here and is gone."""
        path = self._folder(study) / LOCK
        if not path.exists():
            return False
        with path.open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def wanted(self) -> list[str]:
        """Studies that are open by their own log, and whose newest model is here.

        On a successor it may be missing: a round that nobody could close would be opened.
        """
        found = []
        for study in self._ledger.studies():
            state = self._ledger.state(study)
            going = state.closed is None and state.stopped is None
            if going and self._here(study, state):
                found.append(study)
        return found

    def without_model(self) -> list[str]:
        """Open studies whose newest model is not here: nobody can train on them."""
        found = []
        for study in self._ledger.studies():
            state = self._ledger.state(study)
            if state.closed is None and not self._here(study, state):
                found.append(study)
        return found

    def run_id(self, study: str) -> str | None:
        """The Flower run that was started last."""
        with self._database.reading() as session:
            row = rows.run_of(session, study)
        return row.run_id if row else None

    def is_wanted(self, study: str, run_id: str, wait: Callable[[float], None]) -> bool:
        """Whether this run is the one that was started last for its study.

        One that begins only after the next was started would take the lease from a ServerApp that
        is at work, and on a slow machine dozens would do so one after another.

        Args:
            study: of the run.
            run_id: Flower's.
            wait: sleeps so many seconds.
        """
        for _ in range(NOTED_SECONDS):
            if self.run_id(study) == run_id:
                return True
            wait(1)
        return self.run_id(study) == run_id

    def needed(self) -> list[str]:
        """Open studies for which nobody works: no run, or one that fell silent."""
        found = []
        for study in self.wanted():
            if self.alive(study):
                self._starts.pop(study, None)
            elif not self._young(study):
                found.append(study)
        return found

    def started(self, study: str, run_id: str) -> None:
        """Remember the Flower run of a study."""
        with self._database.transaction(study) as session:
            row = rows.run_of(session, study) or rows.RunRow(study=study, token=0)
            row.run_id, row.started, row.beat = run_id, text_of(self._clock), None
            rows.keep(session, row)
        self._starts[study] += 1

    def lost(self) -> None:
        """Note that Flower lost every run: its SuperLink was started anew."""
        self._starts.clear()
        for study in self.wanted():
            with self._database.transaction(study) as session:
                row = rows.run_of(session, study)
                if row is not None:
                    row.started = row.beat = None

    def take_lease(self, study: str) -> int:
        """Take the right to write for a study; every older holder is refused from now on."""
        with self._database.transaction(study) as session:
            row = rows.run_of(session, study) or rows.RunRow(study=study, token=0)
            row.token, row.beat = row.token + 1, text_of(self._clock)
            rows.keep(session, row)
            return row.token

    def beat(self, study: str, token: int) -> None:
        """Show that the holder of the lease lives.

        Raises:
            Refused: a newer ServerApp writes for this study (`run.lease`).
        """
        with self._database.transaction(study) as session:
            self.hold(session, study, token).beat = text_of(self._clock)

    def hold(self, session: Transaction, study: str, token: int) -> rows.RunRow:
        """Refuse a writer that was overtaken, inside the writer's own transaction.

        Raises:
            Refused: a newer ServerApp writes for this study (`run.lease`).
        """
        row = rows.run_of(session, study)
        if row is None or row.token != token:
            raise Refused("run.lease", sentence="A newer ServerApp writes for this study.")
        return row

    def end_lease(self, study: str, token: int) -> None:
        """Give the lease back, so that the next run need not wait for silence."""
        with self._database.transaction(study) as session:
            row = rows.run_of(session, study)
            if row is not None and row.token == token:
                row.beat = None

    def alive(self, study: str) -> bool:
        """Whether the holder of the lease has beaten within a minute, and its process lives."""
        with self._database.reading() as session:
            row = rows.run_of(session, study)
        beaten = row is not None and self._within(row.beat, LEASE_SECONDS)
        return beaten and not self._left(study)

    def _young(self, study: str) -> bool:
        """Whether a run was started so lately that it may not have begun."""
        doubled = PATIENCE_SECONDS << min(max(self._starts[study] - 1, 0), 5)
        with self._database.reading() as session:
            row = rows.run_of(session, study)
        return row is not None and self._within(row.started, min(doubled, LONGEST_PATIENCE))

    def _within(self, moment: str | None, seconds: int) -> bool:
        if moment is None:
            return False
        return self._clock() - datetime.fromisoformat(moment) < timedelta(seconds=seconds)
