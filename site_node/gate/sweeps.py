"""The door of a sweep: a step at a time, each once, from where it must begin to what it measured.

A hub that could have any models trained or measured here would learn more of the cases than the
charter gives it. So a step follows the one before, and another stack for a step that was answered
is refused. What came in and went out is chained; the last link is in the signed statement, so the
log fixes what this hospital was sent.

Source: design/federation.md §10.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.coalitions import SweepStep, coalition_text, next_course, stack_sha256
from compliance.records.order import Order
from compliance.records.types import time_text
from compliance.rules.fold import judge
from compliance.rules.sweeps import Item, Plan, plan_of, start_seed, statements
from compliance.rules.verdict import Denied
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.measures import check_delta, decimal_text
from site_node.gate.permits import Permit, Permits
from site_node.gate.starts import start_values
from site_node.gate.statements import Statements
from site_node.store import outbox, replies
from site_node.store.journal import Sessions
from site_node.store.named import NamedFiles
from site_node.store.replies import ReplyRow

KEPT = 3
SEPARATOR = "\x1e"
VALUE_BYTES = 4


@dataclass(frozen=True)
class Task:
    """A permitted step.

    Args:
        permit: on which terms.
        order: what was asked.
        plan: the sweep by this hospital's own copy of the log.
        step: which part of it.
        items: the models of the stack.
        stack: their values, float32 little-endian.
        course: chain of the steps before; None at the first one.
    """

    permit: Permit
    order: Order
    plan: Plan
    step: SweepStep
    items: list[Item]
    stack: memoryview
    course: str | None

    @property
    def measures(self) -> bool:
        """Whether the models are measured, not trained."""
        return self.step.step > self.plan.rounds

    @property
    def places(self) -> list[int]:
        """Places of the models that are worked on here: all are measured, the own are trained."""
        if self.measures:
            return list(range(len(self.items)))
        return self.plan.places(self.items, self.permit.dataset.site)

    def models(self) -> bytes:
        """Their values, one after the other."""
        size = VALUE_BYTES * self.permit.layout.count
        return b"".join(bytes(self.stack[at * size : (at + 1) * size]) for at in self.places)


@dataclass(frozen=True)
class SweepReply:
    """What goes back: stacked updates or none, and signed notes."""

    deltas: bytes | None
    notes: list[bytes]


class Sweeps:
    """Permits the steps of a sweep, and lets their answers out.

    Args:
        keys: the node key signs.
        permits: asked again when the answer is ready.
        statements: seals and keeps notes.
        sessions: the site's database: what was answered.
        journal: the site's own record.
        folder: where vectors that left are kept for a repeated order.
        clock: the time now.
    """

    def __init__(
        self,
        *,
        keys: Keys,
        permits: Permits,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        folder: Path,
        clock: Clock,
    ) -> None:
        self._keys, self._permits, self._statements = keys, permits, statements
        self._sessions, self._journal, self._stacks = sessions, journal, NamedFiles(folder)
        self._clock = clock

    def task(self, permit: Permit, order: Order, array: memoryview) -> Task:
        """Judge the stack of an order against the sweep and what was answered before.

        Args:
            permit: of the order.
            order: what was asked.
            array: the values that came, as `stack_of` cut them.

        Raises:
            Refused: `round.model`, `coalition.start`, `coalition.course` or `coalition.sweep`.
        """
        plan, step, items = planned(permit, order)
        found = stack_sha256(permit.layout.sha256, array)
        if found != order.model_sha256:
            raise Refused("round.model", found, order.model_sha256)
        rows = self._rows(permit, step)
        known = rows.get(step.step)
        if known is not None and known.model_sha256 != order.model_sha256:
            raise Refused("coalition.course", order.model_sha256, known.model_sha256)
        if step.step == 1:
            check_starts(permit, order, items, array)
        elif step.step - 1 not in rows and self._has_part(plan, items, permit):
            raise Refused("coalition.course", step.step, max(rows, default=0) + 1)
        before = rows.get(step.step - 1)
        course = None if before is None else str(json.loads(before.claims)["course"])
        return Task(permit, order, plan, step, items, array, course)

    def cached(self, task: Task) -> SweepReply | None:
        """The answer that was given to this step before; None when it must be worked out."""
        row = self._rows(task.permit, task.step).get(task.step.step)
        if row is None or row.dataset_version != task.permit.dataset_version:
            return None
        notes = [text.encode() for text in row.notes.decode().split(SEPARATOR) if text]
        if row.update_sha256 is None:
            return SweepReply(None, notes)
        data = self._stacks.read(row.update_sha256)
        return None if data is None else SweepReply(data, notes)

    def admit(
        self, task: Task, *, deltas: bytes | None, n: int, steps: int, counts: Sequence[Any]
    ) -> SweepReply:
        """Judge an answer and let it out.

        Args:
            task: the step.
            deltas: stacked updates, float32 little-endian; None when it measures.
            n: training cases behind them.
            steps: how many the last training took.
            counts: split, cases, correct and value of each model, when it measures.

        Raises:
            Refused: a floor, a bound or a rule of the log forbids it; nothing was kept.
        """
        try:
            permit = self._permits.check(task.order, self._clock())
            if task.measures:
                notes = self._measured(task, counts)
            else:
                _check_deltas(task, deltas or b"", n, steps)
                notes = []
        except Refused as error:
            study = task.permit.study
            self._journal.write("kept.back", study=study, rule=error.rule, said=str(error))
            raise
        self._keep(permit, task, None if task.measures else deltas, n, notes)
        return SweepReply(None if task.measures else deltas, notes)

    def _measured(self, task: Task, counts: Sequence[Any]) -> list[bytes]:
        """One statement a seed, several where it has more coalitions than one can hold."""
        permit, found = task.permit, []
        told = [
            (coalition_text(coalition), _told(row, permit.min_cell))
            for (_, coalition), row in zip(task.items, counts, strict=True)
        ]
        for seed, places in statements(task.items):
            body = {
                "sweep": task.plan.name,
                "seed": seed,
                "models_sha256": task.order.model_sha256,
                "course_sha256": next_course(task.course, task.order.model_sha256, ""),
                "dataset": permit.dataset.id,
                "dataset_version": permit.dataset_version,
                "split": str(counts[0][0]),
                "values": dict(told[place] for place in places),
            }
            log, key = task.order.log, self._keys.node
            note = self._statements.seal("coalition.measured", body, log=log, key=key)
            verdict = judge(permit.state, note, now=time_text(self._clock()))
            if isinstance(verdict, Denied):
                raise Refused(verdict.rule, verdict.found, verdict.agreed)
            found.append(note)
        return found

    def _keep(
        self, permit: Permit, task: Task, deltas: bytes | None, n: int, notes: list[bytes]
    ) -> None:
        sent = None if deltas is None else self._stacks.write(deltas)
        models = task.order.model_sha256
        row = ReplyRow(
            study=permit.study,
            kind=_kind(task.step),
            round=task.step.step,
            model_sha256=models,
            dataset_version=permit.dataset_version,
            update_sha256=sent,
            n=n,
            claims=json.dumps({"course": next_course(task.course, models, sent or "")}),
            notes=SEPARATOR.join(note.decode() for note in notes).encode(),
            at=time_text(self._clock()),
        )
        with self._sessions.begin() as session:
            for note in notes:
                self._statements.keep(session, note, study=permit.study, way=outbox.RELAY)
            replies.keep_reply(session, row)
            self._journal.within(
                session,
                "released",
                study=permit.study,
                order=task.order.kind,
                round=task.step.step,
                n=n,
                bytes=len(deltas or b"") + sum(len(note) for note in notes),
                sha256=sent,
                notes=[sha256_id(note) for note in notes],
            )
        self._stacks.keep_newest(KEPT)

    def _rows(self, permit: Permit, step: SweepStep) -> dict[int, ReplyRow]:
        with self._sessions() as session:
            return {
                row.round: row for row in replies.rows_of_kind(session, permit.study, _kind(step))
            }

    def _has_part(self, plan: Plan, items: list[Item], permit: Permit) -> bool:
        return bool(plan.places(items, permit.dataset.site))


def planned(permit: Permit, order: Order) -> tuple[Plan, SweepStep, list[Item]]:
    """The sweep, the step and the models of an order.

    Raises:
        Refused: `coalition.sweep`.
    """
    plan, step = plan_of(permit.state), order.sweep
    batches = [] if plan is None else plan.batches(permit.layout.count)
    if plan is None or step is None or step.batch >= len(batches):
        raise Refused("coalition.sweep", step and step.batch, f"{len(batches)} batches")
    return plan, step, batches[step.batch]


def check_starts(permit: Permit, order: Order, items: list[Item], stack: memoryview) -> None:
    """Refuse a first step whose models are not the ones that follow from log and seed."""
    starts = {seed: start_values(permit.layout, start_seed(order.log, seed)) for seed, _ in items}
    size = VALUE_BYTES * permit.layout.count
    for place, (seed, coalition) in enumerate(items):
        if stack[place * size : (place + 1) * size] != starts[seed]:
            raise Refused("coalition.start", f"seed {seed}, coalition {coalition_text(coalition)}")


def _check_deltas(task: Task, deltas: bytes, n: int, steps: int) -> None:
    permit, count = task.permit, task.permit.layout.count
    if not permit.min_examples <= n <= permit.examples:
        raise Refused("update.min_examples", n, permit.min_examples)
    if steps <= 1 and permit.recipe.local.batch == 1:
        raise Refused("site.policy", sentence="One step on one case would give the case away.")
    bound = permit.charter.aggregator.params.get("norm_max")
    size = VALUE_BYTES * count
    if len(deltas) != size * len(task.places):
        raise Refused("update.shape", len(deltas), size * len(task.places))
    for place in range(len(task.places)):
        part = deltas[place * size : (place + 1) * size]
        check_delta(part, count, Decimal(bound) if bound else None)


def _told(row: Sequence[Any], floor: int) -> dict[str, Any]:
    """One model's counts as they may be told; below the floor a share, or nothing at all."""
    _, n, correct, value = row
    if n < max(floor, 1):
        return {"n": None, "correct": None, "value": None}
    if correct is not None and min(correct, n - correct) >= floor:
        return {"n": int(n), "correct": int(correct), "value": None}
    share = correct / n if correct is not None else value
    told = None if share is None or not np.isfinite(share) else decimal_text(Decimal(repr(share)))
    return {"n": int(n), "correct": None, "value": told}


def _kind(step: SweepStep) -> str:
    return f"{step.name}.{step.batch}"
