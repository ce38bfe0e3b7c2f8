"""Flower runs: which studies need one, and the lease of the ServerApp that may write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from compliance.errors import Refused
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService
from hub.storage import studies as rows
from hub.storage.database import Database, Transaction

Here = Callable[[str, str], bool]
LEASE_SECONDS = 60
PATIENCE_SECONDS = 30


class RunService:
    """Runs and leases.

    Args:
        database: keeps one row a study.
        ledger: says which studies are open.
        here: whether a model of a study lies in the registry.
        clock: the time now.
    """

    def __init__(
        self, *, database: Database, ledger: LedgerService, here: Here, clock: Clock
    ) -> None:
        self._database, self._ledger, self._clock = database, ledger, clock
        self._here = here

    def wanted(self) -> list[str]:
        """Studies that are open by their own log, and whose newest model is here.

        On a successor it may be missing: a round that nobody could close would be opened.
        """
        found = []
        for study in self._ledger.studies():
            state = self._ledger.state(study)
            going = state.closed is None and state.stopped is None
            if going and self._here(study, state.model_sha256):
                found.append(study)
        return found

    def without_model(self) -> list[str]:
        """Open studies whose newest model is not here: nobody can train on them."""
        found = []
        for study in self._ledger.studies():
            state = self._ledger.state(study)
            if state.closed is None and not self._here(study, state.model_sha256):
                found.append(study)
        return found

    def run_id(self, study: str) -> str | None:
        """The Flower run that was started last."""
        with self._database.reading() as session:
            row = rows.run_of(session, study)
        return row.run_id if row else None

    def needed(self) -> list[str]:
        """Open studies for which nobody works: no run, or one that fell silent."""
        return [study for study in self.wanted() if not (self.alive(study) or self._young(study))]

    def started(self, study: str, run_id: str) -> None:
        """Remember the Flower run of a study."""
        with self._database.transaction(study) as session:
            row = rows.run_of(session, study) or rows.RunRow(study=study, token=0)
            row.run_id, row.started, row.beat = run_id, text_of(self._clock), None
            rows.keep(session, row)

    def lost(self) -> None:
        """Note that Flower lost every run: its SuperLink was started anew."""
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
        """Whether the holder of the lease has beaten within a minute."""
        with self._database.reading() as session:
            row = rows.run_of(session, study)
        return row is not None and self._within(row.beat, LEASE_SECONDS)

    def _young(self, study: str) -> bool:
        """Whether a run was started so lately that it may not have begun."""
        with self._database.reading() as session:
            row = rows.run_of(session, study)
        return row is not None and self._within(row.started, PATIENCE_SECONDS)

    def _within(self, moment: str | None, seconds: int) -> bool:
        if moment is None:
            return False
        return self._clock() - datetime.fromisoformat(moment) < timedelta(seconds=seconds)
