"""Rounds as entries: opened, closed with a full account, aborted; a study ended for good.

Each entry is written by the holder of the study's lease only, in one transaction with the rows
that change with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from compliance.errors import Refused
from compliance.ledger.merkle import leaf_hash
from compliance.records.layout import Layout
from compliance.records.masking import UnmaskOrder
from compliance.records.order import Order
from compliance.records.recipe import Recipe
from compliance.records.rounds import RoundAborted, UpdateSubmitted
from compliance.records.sealed import seal_payload
from compliance.records.types import seconds_of
from compliance.rules.consortium.state import ConsortiumState, Standing
from compliance.rules.offences import resting
from compliance.rules.state import StudyState
from hub.services.clock import Clock, Random, text_of
from hub.services.ledger import LedgerService, Receipt
from hub.services.registry import ModelRegistry
from hub.services.runs import RunService
from hub.services.sealed import SALT_BYTES, keep_sealed
from hub.storage.database import Transaction

Kind = Literal["train", "evaluate", "sweep", "unmask"]
CALM = ("round.closed", "study.resumed")
TOO_FEW = ("too_few", "deadline")


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
class Made:
    """A finished round, in files that are not in their place yet.

    Args:
        model: file of the new model.
        details: the scalars that made it; `round.closed` commits to them.
        state: file of the server step's state, if it has one.
        updates: file of each update that was used, by its hash.
    """

    model: Path
    details: Mapping[str, Any]
    state: Path | None = None
    updates: Mapping[str, Path] = field(default_factory=dict)


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
        random: source of salts.
        recipe: a recipe by its hash.
    """

    def __init__(
        self,
        *,
        ledger: LedgerService,
        registry: ModelRegistry,
        runs: RunService,
        clock: Clock,
        random: Random,
        recipe: Callable[[str], Recipe],
    ) -> None:
        self._ledger, self._registry, self._runs = ledger, registry, runs
        self._clock, self._random, self._recipe = clock, random, recipe

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

    def recipe(self, study: str) -> Recipe:
        """The recipe that the charter names.

        Raises:
            NotReady: it is not known here.
        """
        return self._recipe(self.state(study).charter.recipe.sha256)

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

        A hospital that the consortium suspended, or that left it, takes part in no round; one
        whose updates were not what they claimed, several in a row, rests for a while.
        """
        state = self.state(lease.study)
        deadline = text_of(self._clock, timedelta(seconds=state.charter.round_seconds))
        body = {
            "round": state.rounds_opened + 1,
            "sites": self.partakers(lease.study),
            "model_sha256": state.model_sha256,
            "bundle_sha256": state.charter.bundle_sha256,
            "deadline": deadline,
            "on_behalf": None,
        }
        self._say(lease, "round.opened", body)

    def partakers(self, study: str) -> list[str]:
        """Hospitals of the next round, sorted: active in the study, not barred, not resting."""
        without = self.without_mask_key(study)
        return [site for site in self._allowed(study) if site not in without]

    def _allowed(self, study: str) -> list[str]:
        state = self.state(study)
        away = self._ledger.ask_consortium(_barred) | resting(state).keys()
        return [site for site in state.active_sites() if site not in away]

    def without_mask_key(self, study: str) -> set[str]:
        """Hospitals of a masked study that cannot take part yet: they have published no key."""
        state = self.state(study)
        if not state.charter.aggregator.masked:
            return set()
        return set(self._allowed(study)) - state.mask_keys.keys()

    def unmask(self, lease: Lease, alive: Mapping[str, str], gone: Sequence[str]) -> None:
        """End the uploads of a masked round: from now on its lists stand.

        Raises:
            Refused: the lists break a rule.
        """
        number = self.state(lease.study).running.number
        body = {"round": number, "alive": dict(alive), "gone": list(gone)}
        self._say(lease, "round.unmasking", body)

    def unmask_order(self, study: str, shares: Mapping[str, str]) -> UnmaskOrder:
        """The order to open shares of the open round, whose lists are on record."""
        running = self.state(study).running
        entry = running.unmasking.index if running.unmasking else running.index
        order = self.order(study, "unmask", entry, running.deadline)
        return UnmaskOrder.model_validate(order.plain() | {"shares": dict(shares)})

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

    def state_before(self, study: str) -> Path | None:
        """The server step's state that the open round begins with; None before the first model."""
        state = self.state(study)
        if "." not in state.charter.aggregator.name or not state.rounds_closed:
            return None
        return self._registry.state_path(study, state.rounds_closed[-1].number)

    def close(self, lease: Lease, account: Account, made: Made) -> str:
        """Keep the new model and write the account of the open round; returns the model's name.

        Files come first, then entry, rows and sealed details in one transaction: what a power cut
        leaves is overwritten by the same bytes.

        Raises:
            Refused: the account breaks a rule; no model is entered.
        """
        study, state = lease.study, self.state(lease.study)
        name = self._put_in_place(study, state, made)
        sealed = seal_payload(dict(made.details), self._random(SALT_BYTES))
        body = {
            "round": state.running.number,
            "used": dict(account.used),
            "weights": {site: format(share, "f") for site, share in account.weights.items()},
            "excluded": dict(account.excluded),
            "missing": dict(account.missing),
            "aggregator": state.charter.aggregator.name,
            "model_sha256": name,
            "bytes": self._registry.path(study, name).stat().st_size,
        }

        def also(session: Transaction) -> None:
            self._held(lease)(session)
            self._registry.enter(session, study, name, "round")
            keep_sealed(session, study, sealed)

        self._ledger.say(study, "round.closed", body, sealed=sealed.commitment, also=also)
        self._registry.forget_states(study, self._numbers(study)[-2:])
        return name

    def _put_in_place(self, study: str, state: StudyState, made: Made) -> str:
        """Move what was made to where it lies from now on; returns the model's name."""
        if state.charter.aggregator.params.get("keep_updates", "0") != "0":
            for sha256, path in made.updates.items():
                self._registry.keep_update(study, sha256, path)
        if made.state is not None:
            made.state.replace(self._registry.state_path(study, state.running.number))
        return self._registry.adopt(study, self.layout(study), made.model)

    def _numbers(self, study: str) -> list[int]:
        return [row.number for row in self.state(study).rounds_closed]

    def account(self, lease: Lease, inputs_sha256: str) -> None:
        """Lay down from which inputs everybody recomputes the shares, over all rounds."""
        numbers = self._numbers(lease.study)
        body = {
            "from_round": numbers[0],
            "to_round": numbers[-1],
            "rule": self.state(lease.study).charter.contribution.rule,
            "inputs_sha256": inputs_sha256,
        }
        self._say(lease, "contribution.measured", body)

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

    def deny(self, lease: Lease, who: str, rule: str, action: str = "update.submitted") -> None:
        """Put on record that a statement of a hospital was refused; a storm is not logged."""
        state = self.state(lease.study)
        body = {
            "action": action,
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
        """The n of each hospital's newest update that counted, by site and dataset version."""
        closed = self.state(study).rounds_closed
        used = {(row.number, site): sha for row in closed for site, sha in row.used.items()}
        found: dict[tuple[str, str], int] = {}
        for event in self._ledger.events(study, "update.submitted"):
            if isinstance(event.body, UpdateSubmitted) and event.actor:
                site = event.actor.split("/", 1)[0]
                if used.get((event.body.round, site)) == event.body.update_sha256:
                    found[site, event.body.dataset_version] = event.body.n
        return found

    def aborted_in_a_row(self, study: str) -> int:
        """Rounds that too few hospitals answered, since the last model or the last resumption."""
        since = max([0, *(p for kind in CALM for p in self._ledger.places(study, kind))])
        places = self._ledger.places(study, "round.aborted")
        events = self._ledger.events(study, "round.aborted")
        reasons = [
            event.body.reason
            for place, event in zip(places, events, strict=True)
            if place > since and isinstance(event.body, RoundAborted)
        ]
        return sum(reason in TOO_FEW for reason in reasons)

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
