"""The account of contributions: every coalition trained beside the others, then measured by all.

As many exchanges as the study had rounds, and one more. Nothing of it is a round: no model of a
coalition becomes the study's, and a hospital that does not answer three times ends the account,
not the study.

Source: design/federation.md §10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import numpy as np

from compliance.canonical import digest_of
from compliance.errors import ConsiliumError, Malformed, NotReady, Refused
from compliance.records.coalitions import (
    MOST_STATEMENTS,
    CoalitionMeasured,
    SweepStep,
    stack_sha256,
)
from compliance.records.decisions import DecisionDenied
from compliance.records.envelope import parse_event
from compliance.records.layout import Layout
from compliance.records.order import Order
from compliance.records.recipe import layout_of
from compliance.records.types import time_text
from compliance.records.wire import vector_values
from compliance.rules.coalitions import inputs_of
from compliance.rules.state import StudyState
from compliance.rules.sweeps import Item, Plan, check_sweep, plan_of, start_seed, swept_recipe
from compliance.signing.note import parse
from hub.federation.aggregation.again import Method
from hub.federation.aggregation.rule import Undecided
from hub.federation.aggregation.stacked import Sent, empty_moments, next_models
from hub.federation.exchange import Model
from hub.federation.judging import LEASE, Sizes
from hub.federation.replies import Cases, Reply, norm_of
from hub.federation.sweep_files import Step, SweepFiles
from hub.services.rounds import Lease, RoundService
from hub.services.start import initial_vector

MOST_TRIES = 3

Take = Callable[[Reply], bool]
"""Takes a reply; whether it answers the order."""


class Ask(Protocol):
    """Lets hospitals answer one order, until its deadline; returns who did."""

    def __call__(self, order: Order, vector: Model, sites: list[str], take: Take) -> set[str]:
        """Send the order to these hospitals."""


class Ended(Exception):
    """No account is made; the words say why."""


@dataclass(frozen=True)
class Parts:
    """What a sweep works with.

    Args:
        lease: the right to write.
        rounds: writes to the log.
        ask: carries orders and replies.
        sizes: what is registered about a dataset's size.
        say: one line for the hub's own log.
    """

    lease: Lease
    rounds: RoundService
    ask: Ask
    sizes: Sizes
    say: Callable[[str], None]


def make_account(parts: Parts) -> None:
    """Make the account that the charter agreed on, if it is a sweep and was not made yet.

    A hospital that leaves meanwhile makes it another sweep, which begins anew without it.
    """
    study, rounds = parts.lease.study, parts.rounds
    while (plan := plan_of(rounds.state(study))) is not None:
        if inputs_of(rounds.state(study), plan) is None:
            try:
                Sweep(parts, plan).run()
            except Ended as end:
                parts.say(f"study {study}: no account of contributions: {end}")
                if plan_of(rounds.state(study)) == plan:
                    return
                continue
        inputs = inputs_of(rounds.state(study), plan)
        if inputs is not None:
            rounds.account(parts.lease, digest_of(inputs))
            return


class Sweep:
    """One sweep from where its files and the log stand to its end.

    Args:
        parts: what it works with.
        plan: the sweep, as the log has it.
    """

    def __init__(self, parts: Parts, plan: Plan) -> None:
        self._parts, self._plan = parts, plan
        self._rounds, self._study = parts.rounds, parts.lease.study
        charter = self._state.charter
        self._layout = self._swept()
        self._method = Method.of(charter, self._layout)
        self._counts = self._cases()
        keep = charter.aggregator.params.get("keep_updates", "0") != "0"
        self._files = SweepFiles(self._rounds.folder(self._study), plan.name, keep=keep)
        self._files.name_layout(self._layout)

    @property
    def _state(self) -> StudyState:
        return self._rounds.state(self._study)

    def run(self) -> None:
        """Train and measure every batch.

        Raises:
            Ended: a hospital did not answer, or left; the sweep cannot be finished.
        """
        batches = self._plan.batches(self._layout.count)
        for batch, items in enumerate(batches):
            self._parts.say(
                f"study {self._study}: sweep of {len(items)} models, batch {batch + 1} of "
                f"{len(batches)}, {self._plan.rounds} steps"
            )
            if self._unmeasured(items):
                self._measure(batch, items, self._train(batch, items))

    def _swept(self) -> Layout:
        """The layout of what is trained."""
        charter, rule = self._state.charter, self._state.charter.contribution.rule
        try:
            recipe = self._rounds.recipe(self._study)
            check_sweep(rule, len(charter.sites), recipe)
            return layout_of(swept_recipe(rule, recipe))
        except (Refused, NotReady) as error:
            raise Ended(str(error)) from error

    def _train(self, batch: int, items: list[Item]) -> Step:
        """Play a batch's steps; those that are on disk are not played again."""
        models, moments = self._shapes(items)
        step = self._files.find(batch, models, moments)
        if step is None:
            step = Step(1, self._starts(items), empty_moments(self._method, len(items)))
            self._files.put(batch, step, {})
        while step.number <= self._plan.rounds:
            step = self._next(batch, items, step)
        return step

    def _next(self, batch: int, items: list[Item], step: Step) -> Step:
        sent: dict[str, Sent] = {}
        names: dict[str, str] = {}

        def take(reply: Reply) -> bool:
            places = self._plan.places(items, reply.site)
            values = self._checked(reply, len(places))
            if values is None:
                self._heard(reply)  # a refusal, if it says anything
                return False
            names[reply.site] = self._files.write(values)
            rows = np.memmap(self._files.path(names[reply.site]), "<f4", "r")
            shape = (len(places), self._layout.count)
            n = self._counts[reply.site]
            sent[reply.site] = Sent(rows.reshape(shape), places, n)
            return True

        trained = [site for site in self._plan.sites if self._plan.places(items, site)]
        self._ask_all(batch, step, trained, take)
        moments = step.moments.copy()
        try:
            models = next_models(self._method, step.models, moments, sent)
        except (Undecided, Malformed) as error:
            raise Ended(str(error)) from error
        made = Step(step.number + 1, models, moments)
        self._files.put(batch, made, names)
        return made

    def _measure(self, batch: int, items: list[Item], step: Step) -> None:
        """Let every hospital that has not yet measure the batch's models."""

        def take(reply: Reply) -> bool:
            self._heard(reply)
            return reply.site not in self._unmeasured(items)

        self._ask_all(batch, step, self._unmeasured(items), take)

    def _ask_all(self, batch: int, step: Step, sites: list[str], take: Take) -> None:
        """Ask until everybody has answered.

        Raises:
            Ended: somebody did not in three tries, or the study or the list of hospitals changed.
        """
        waiting, stack = set(sites), step.models.astype("<f4").tobytes()
        for _ in range(MOST_TRIES):
            if not waiting:
                return
            order = self._order(batch, step, stack)
            waiting -= self._parts.ask(order, lambda: stack, sorted(waiting), take)
            if plan_of(self._state) != self._plan or self._over():
                raise Ended("the study or its hospitals changed")
        if waiting:
            raise Ended(f"no answer of {', '.join(sorted(waiting))} to step {step.number}")

    def _order(self, batch: int, step: Step, stack: bytes) -> Order:
        seconds = timedelta(seconds=self._state.charter.round_seconds)
        deadline = time_text(self._rounds.now() + seconds)
        last = self._state.rounds_closed[-1]
        order = self._rounds.order(self._study, "sweep", last.index, deadline)
        return order.model_copy(
            update={
                "round": last.number,
                "layout_sha256": self._layout.sha256,
                "model_sha256": stack_sha256(self._layout.sha256, stack),
                "sweep": SweepStep(name=self._plan.name, batch=batch, step=step.number),
            }
        )

    # ------------------------------------------------------------------------------- replies

    def _checked(self, reply: Reply, models: int) -> memoryview | None:
        """The values of stacked updates; None when they are none."""
        try:
            values = vector_values(reply.array or b"", models * self._layout.count)
        except Malformed:
            return None
        return values if norm_of(values) is not None else None

    def _heard(self, reply: Reply) -> None:
        """Put on record what a reply says; what the log refuses is on record as refused."""
        try:
            self._put_on_record(reply)
        except Refused as error:
            if error.rule == LEASE:
                raise
            who = f"{reply.site}/node"
            self._parts.say(f"study {self._study}: a statement of {who} was refused: {error}")
            self._rounds.deny(self._parts.lease, who, error.rule, "coalition.measured")
        except ConsiliumError as error:
            self._parts.say(f"study {self._study}: reply of {reply.site}: {error}")

    def _put_on_record(self, reply: Reply) -> None:
        if len(reply.notes) > MOST_STATEMENTS:
            raise Malformed("reply", f"it holds more than {MOST_STATEMENTS} notes")
        for note in reply.notes:
            event = parse_event(parse(note).text)
            body = event.body
            if event.actor != f"{reply.site}/node":
                raise Malformed("reply", "a note speaks in another name than its sender's")
            if not isinstance(body, CoalitionMeasured | DecisionDenied):
                raise Malformed("reply", f"a note of kind {event.type} does not belong into it")
            if isinstance(body, CoalitionMeasured):
                self._fits_register(reply.site, body)
            self._rounds.take(self._parts.lease, note)

    def _fits_register(self, site: str, body: CoalitionMeasured) -> None:
        """More held-out cases than the registered size has are none."""
        bucket = self._parts.sizes(site, body.dataset, body.dataset_version)
        for value in body.values.values():
            if value.n is not None and not Cases(bucket, None).fits(value.n):
                raise Refused("coalition.counts", value.n, bucket)

    # ---------------------------------------------------------------------------- small things

    def _unmeasured(self, items: list[Item]) -> list[str]:
        """Hospitals that have not measured all of a batch yet."""
        wanted = {(seed, format(coalition, "x")) for seed, coalition in items}
        found = []
        for site in self._plan.sites:
            rows = self._state.coalitions.get(self._plan.name, ())
            mine = {(row.seed, name) for speaker, row in rows for name in row.values
                    if speaker == site}  # fmt: skip
            if not wanted <= mine:
                found.append(site)
        return found

    def _starts(self, items: list[Item]) -> np.typing.NDArray[np.float32]:
        log = self._state.charter_id
        starts = {
            seed: initial_vector(self._layout, start_seed(log, seed)) for seed in self._plan.seeds
        }
        return np.array([starts[seed] for seed, _ in items], dtype=np.float32)

    def _shapes(self, items: list[Item]) -> tuple[tuple[int, int], tuple[int, ...]]:
        return (len(items), self._layout.count), empty_moments(self._method, len(items)).shape

    def _cases(self) -> Mapping[str, int]:
        """Training cases of each hospital as its newest update that counted stated them."""
        state, last, found = self._state, self._rounds.last_counts(self._study), {}
        for site in self._plan.sites:
            versions = {row.version for row in state.charter.datasets_of(site)}
            versions |= {v for (name, _), v in state.dataset_versions.items() if name == site}
            counts = [n for (name, version), n in last.items()
                      if name == site and version in versions]  # fmt: skip
            if not counts:
                raise Ended(f"no counted update of {site} on its dataset of now")
            found[site] = counts[-1]
        return found

    def _over(self) -> bool:
        return self._state.closed is not None or self._state.stopped is not None
