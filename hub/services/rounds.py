"""Rounds as entries: opened, closed with a full account, aborted; a study ended for good.

Each entry is written by the holder of the study's lease only, in one transaction with the rows
that change with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from compliance.errors import Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.layout import Layout
from compliance.records.order import Order
from compliance.records.rounds import UpdateSubmitted
from compliance.records.types import seconds_of
from compliance.rules.consortium.state import ConsortiumState, Standing
from compliance.rules.state import StudyState
from hub.services.clock import Clock, text_of
from hub.services.ledger import LedgerService, Receipt
from hub.services.registry import ModelRegistry
from hub.services.runs import RunService
from hub.storage.database import Transaction

Kind = Literal["train", "evaluate"]


@dataclass(frozen=True)
class Account:
    """What became of every hospital of a round.

    Args:
        used: update hash by site.
        weights: share by site, adding up to 1.
        excluded: reason by site whose update arrived and does not count.
        missing: reason by site that sent no update.
    """

    used: Mapping[str, str]
    weights: Mapping[str, Decimal]
    excluded: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lease:
    """The right to write for a study; `RunService.take_lease` made its token."""

    study: str
    token: int


class RoundService:
    """Writes what happens in rounds.

    Args:
        ledger: the logs.
        registry: the models.
        runs: the leases.
        clock: the time now.
    """

    def __init__(
        self, *, ledger: LedgerService, registry: ModelRegistry, runs: RunService, clock: Clock
    ) -> None:
        self._ledger, self._registry, self._runs = ledger, registry, runs
        self._clock = clock

    def begin(self, study: str) -> Lease:
        """Take the lease of a study."""
        return Lease(study, self._runs.take_lease(study))

    def beat(self, lease: Lease) -> None:
        """Show that somebody works for this study.

        Raises:
            Refused: a newer ServerApp does (`run.lease`).
        """
        self._runs.beat(lease.study, lease.token)

    def end(self, lease: Lease) -> None:
        """Give the lease back."""
        self._runs.end_lease(lease.study, lease.token)

    def state(self, study: str) -> StudyState:
        """Where the study stands by its own log."""
        return self._ledger.state(study)

    def now(self) -> datetime:
        """The time now."""
        return self._clock()

    def layout(self, study: str) -> Layout:
        """The layout of the study's models."""
        return self._registry.layout(study)

    def model(self, study: str) -> bytes:
        """The newest model's values, checked against its hash."""
        return self._registry.read(study, self.state(study).model_sha256)

    def model_path(self, study: str) -> Path:
        """The newest model's file."""
        return self._registry.path(study, self.state(study).model_sha256)

    def folder(self, study: str) -> Path:
        """Where the study's files lie at the hub."""
        return self._registry.folder(study)

    def open(self, lease: Lease) -> None:
        """Open the next round for all active hospitals, those that are offline too.

        A hospital that the consortium suspended, or that left it, takes part in no round.
        """
        state = self.state(lease.study)
        barred = self._ledger.ask_consortium(_barred)
        deadline = text_of(self._clock, timedelta(seconds=state.charter.round_seconds))
        body = {
            "round": state.rounds_opened + 1,
            "sites": [site for site in state.active_sites() if site not in barred],
            "model_sha256": state.model_sha256,
            "bundle_sha256": state.charter.bundle_sha256,
            "deadline": deadline,
            "on_behalf": None,
        }
        self._say(lease, "round.opened", body)

    def order(self, study: str, kind: Kind, round_index: int, deadline: str) -> Order:
        """The order that goes with an opened round; `round_index` is the place of its entry."""
        state = self.state(study)
        note = self._ledger.entries(study, round_index, round_index + 1)[0]
        return Order(
            kind=kind,
            log=state.charter_id,
            entry=round_index,
            leaf="sha256:" + leaf_hash(note).hex(),
            round=state.rounds_opened,
            layout_sha256=self.layout(study).sha256,
            model_sha256=state.model_sha256,
            deadline=deadline,
        )

    def opened_at(self, study: str) -> int:
        """Place of the newest `round.opened`."""
        return self._ledger.places(study, "round.opened")[-1]

    def take(self, lease: Lease, note: bytes) -> Receipt:
        """Seal a hospital's statement.

        Raises:
            Refused: a rule of the log says no, or the lease is lost.
        """
        return self._ledger.append(lease.study, note, also=self._held(lease))

    def close(self, lease: Lease, account: Account, model: bytes) -> str:
        """Keep the new model and write the account of the open round; returns the model's name.

        Raises:
            Refused: the account breaks a rule; no model is entered.
        """
        study, state = lease.study, self.state(lease.study)
        name = self._registry.write(study, self.layout(study), model)
        body = {
            "round": state.running.number,
            "used": dict(account.used),
            "weights": {site: format(share, "f") for site, share in account.weights.items()},
            "excluded": dict(account.excluded),
            "missing": dict(account.missing),
            "aggregator": state.charter.aggregator.name,
            "model_sha256": name,
            "bytes": len(model),
        }

        def also(session: Transaction) -> None:
            self._held(lease)(session)
            self._registry.enter(session, study, name, "round")

        self._ledger.say(study, "round.closed", body, also=also)
        return name

    def abort(self, lease: Lease, reason: str) -> None:
        """End the open round without a model."""
        number = self.state(lease.study).running.number
        body = {"round": number, "reason": reason, "on_behalf": None}
        self._say(lease, "round.aborted", body)

    def finish(self, lease: Lease, reason: str) -> None:
        """Close the study for good."""
        self._say(lease, "study.closed", {"reason": reason, "on_behalf": None})

    def stop(self, lease: Lease, reason: str) -> None:
        """Stop the study; only all hospitals together can resume it."""
        self._say(lease, "study.stopped", {"reason": reason, "on_behalf": None})

    def deny(self, lease: Lease, who: str, rule: str) -> None:
        """Put on record that a statement of a hospital was refused; a storm is not logged."""
        state = self.state(lease.study)
        body = {
            "action": "update.submitted",
            "who": who,
            "rule": rule,
            "round": state.open_round.number if state.open_round else None,
            "suppressed": 0,
        }
        try:
            self._say(lease, "decision.denied", body)
        except Refused as error:
            if error.rule == "run.lease":
                raise

    def last_counts(self, study: str) -> dict[tuple[str, str], int]:
        """The n of each hospital's newest update, by site and dataset version."""
        found: dict[tuple[str, str], int] = {}
        for event in self._ledger.events(study, "update.submitted"):
            if isinstance(event.body, UpdateSubmitted) and event.actor:
                found[event.actor.split("/", 1)[0], event.body.dataset_version] = event.body.n
        return found

    def expired(self, study: str) -> bool:
        """Whether the charter has run out."""
        return self._clock() > seconds_of(self.state(study).charter.expires)

    def _say(self, lease: Lease, kind: str, body: dict[str, Any]) -> None:
        self._ledger.say(lease.study, kind, body, also=self._held(lease))

    def _held(self, lease: Lease) -> Any:
        return lambda session: self._runs.hold(session, lease.study, lease.token)


def _barred(state: ConsortiumState | None) -> set[str]:
    rows = state.members.values() if state is not None else ()
    return {row.site for row in rows if row.standing is not Standing.ACTIVE}
