"""Release: what leaves this hospital is judged, signed, journalled and kept in one transaction.

An update that breaks a floor stays here; what leaves is a vector, counts not below the floor, short
decimals, hashes and signatures, never a sentence.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.order import Order
from compliance.records.types import time_text
from compliance.rules.fold import judge
from compliance.rules.updates import ENCODING
from compliance.rules.verdict import Denied
from site_node.gate.budget import Budget, Reserved
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.masking import Masking
from site_node.gate.measures import MetricClaim, check_delta, presentable
from site_node.gate.mirror import Mirror
from site_node.gate.permits import Permit, Permits
from site_node.gate.refusals import Refusals
from site_node.gate.statements import Statements
from site_node.store import outbox, replies
from site_node.store.journal import Sessions, Transaction
from site_node.store.named import NamedFiles
from site_node.store.replies import ReplyRow

KEPT = 3
SEPARATOR = "\x1e"


@dataclass(frozen=True)
class CachedReply:
    """An answer given before: the same vector, the notes that belong to this order."""

    delta: bytes | None
    notes: list[bytes]
    papers: Mapping[str, bytes] = field(default_factory=dict)
    """What travels beside a masked update; empty without masks."""


@dataclass(frozen=True)
class Answer:
    """What would leave: a vector or none, cases it rests on, agreed metrics already blanked.

    `cost` is what it took from the privacy budget; None in a study without noise.
    """

    delta: bytes | None
    n: int
    claims: list[dict[str, Any]]
    cost: dict[str, Any] | None = None


@dataclass(frozen=True)
class Together:
    """What is kept in the transaction of an answer, or not at all.

    Args:
        reserved: the steps that the privacy account has reserved; None without noise.
        beside: acts in that transaction.
    """

    reserved: Reserved | None = None
    beside: Sequence[Callable[[Transaction], None]] = ()


ALONE = Together()


class Release:
    """The door: `admit` lets an update out, `cached` repeats one, `refuse` says why not.

    Args:
        keys: the node key signs.
        permits: asked again when the answer is ready.
        mirror: names the study of a refused order.
        statements: seals and keeps notes.
        sessions: the site's database.
        journal: the site's own record.
        folder: where vectors that left are kept for a repeated order.
        budget: charged in the transaction that keeps the reply.
        masking: masks an update before its statement is made; what leaves is then `cached`.
        clock: the time now.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        keys: Keys,
        permits: Permits,
        mirror: Mirror,
        statements: Statements,
        sessions: Sessions,
        journal: Journal,
        folder: Path,
        budget: Budget,
        masking: Masking,
        clock: Clock,
    ) -> None:
        self._budget, self._masking = budget, masking
        self._keys, self._permits, self._statements = keys, permits, statements
        self._sessions, self._journal, self._vectors = sessions, journal, NamedFiles(folder)
        self._clock = clock
        self._refusals = Refusals(
            keys=keys, mirror=mirror, statements=statements, sessions=sessions, journal=journal
        )

    def admit(
        self,
        permit: Permit,
        order: Order,
        *,
        delta: bytes | None,
        n: int,
        steps: int,
        metrics: Sequence[MetricClaim],
        together: Together = ALONE,
    ) -> list[bytes]:
        """Judge an answer and let it out; returns its signed notes.

        Args:
            permit: as it was given before the work.
            order: what was asked.
            delta: the update, float32 little-endian; None of an evaluation.
            n: cases it rests on; with noise, patients.
            steps: how many were taken.
            metrics: what was measured.
            together: what is kept with the answer.

        Raises:
            Refused: a floor, a bound or a rule of the log forbids it; nothing was kept.
        """
        try:
            permit = self._permits.check(order, self._clock())  # training took its time: ask again
            check_answer(permit, order, delta, n, steps)
            cost = self._cost(permit, delta, steps, together.reserved)
            masked = None
            if delta is not None and permit.charter.aggregator.masked:
                masked = self._masking.wrap(permit, order, delta, n)
                delta = masked.wire
            answer = Answer(delta, n, _agreed(permit, metrics), cost)
            notes = self._notes(permit, order, answer)
        except Refused as error:
            self._journal.write("kept.back", study=permit.study, rule=error.rule, said=str(error))
            raise
        paid = together.reserved
        beside: list[Callable[[Transaction], None]] = []
        beside += [] if paid is None else [partial(self._budget.charge, reserved=paid)]
        beside += [] if masked is None else [masked.keep]
        self._store(permit, order, answer, notes, [*beside, *together.beside])
        return notes

    def _cost(
        self, permit: Permit, delta: bytes | None, steps: int, reserved: Reserved | None
    ) -> dict[str, Any] | None:
        """What an update states about its noise: as many steps as were reserved, or it stays."""
        if delta is None or (permit.charter.dp is None and reserved is None):
            return None
        if permit.charter.dp is None or reserved is None or steps != reserved.steps:
            raise Refused("dp.missing", steps, None if reserved is None else reserved.steps)
        return reserved.cost(permit.state.spent(permit.dataset.site, permit.dataset.id))

    def refuse(self, order: Order, rule: str) -> bytes:
        """Say no with a rule id and nothing else; the story stays in the journal."""
        return self._refusals.refuse(order, rule)

    def refuse_bundle(self) -> int:
        """Put on record that Flower's node refused a bundle before it ran."""
        return self._refusals.refuse_bundle()

    def _notes(self, permit: Permit, order: Order, answer: Answer) -> list[bytes]:
        notes = [
            self._statements.seal(kind, body, log=order.log, key=self._keys.node)
            for kind, body in statements_of(permit, order, answer)
        ]
        for note in notes:
            verdict = judge(permit.state, note, now=time_text(self._clock()))
            if isinstance(verdict, Denied):
                raise Refused(verdict.rule, verdict.found, verdict.agreed)
        return notes

    def _store(
        self,
        permit: Permit,
        order: Order,
        answer: Answer,
        notes: list[bytes],
        beside: Sequence[Callable[[Transaction], None]] = (),
    ) -> None:
        delta = answer.delta
        update_sha256 = self._vectors.write(delta) if delta is not None else None
        row = ReplyRow(
            study=permit.study,
            kind=order.kind,
            round=order.round,
            model_sha256=order.model_sha256,
            dataset_version=permit.dataset_version,
            update_sha256=update_sha256,
            n=answer.n,
            claims=json.dumps(answer.claims),
            notes=SEPARATOR.join(note.decode() for note in notes).encode(),
            at=time_text(self._clock()),
        )
        with self._sessions.begin() as session:
            for note in notes:
                self._statements.keep(session, note, study=permit.study, way=outbox.RELAY)
            replies.keep_reply(session, row)
            for keep in beside:
                keep(session)
            self._journal.within(
                session,
                "released",
                study=permit.study,
                order=order.kind,
                round=order.round,
                n=answer.n,
                bytes=len(delta or b"") + sum(len(note) for note in notes),
                sha256=update_sha256,
                epsilon=answer.cost and answer.cost["epsilon"],
                notes=[sha256_id(note) for note in notes],
            )
        self._vectors.keep_newest(KEPT)

    def cached(self, permit: Permit, order: Order) -> CachedReply | None:
        """The answer this site gave before on the same model and data, or None.

        The same order gets the very same notes; a later round on the same model gets the same
        vector with fresh notes. Neither costs training. A masked update belongs to its round: a
        later one has other keys and is trained anew.
        """
        with self._sessions() as session:
            rows = replies.find_replies(
                session,
                study=permit.study,
                kind=order.kind,
                model_sha256=order.model_sha256,
                dataset_version=permit.dataset_version,
            )
        for row in rows:
            delta = self._vectors.read(row.update_sha256) if row.update_sha256 else None
            if row.update_sha256 is not None and delta is None:
                continue
            if row.round == order.round:
                notes = [text.encode() for text in row.notes.decode().split(SEPARATOR)]
                papers = {} if delta is None else self._masking.papers(order.log, order.round)
                return CachedReply(delta, [note for note in notes if note], papers)
            if delta is not None and permit.charter.aggregator.masked:
                continue
            cost = None if delta is None else self._budget.restated(permit)
            answer = Answer(delta, row.n, json.loads(row.claims), cost)
            notes = self._notes(permit, order, answer)
            self._store(permit, order, answer, notes)
            return CachedReply(delta, notes)
        return None


def check_answer(permit: Permit, order: Order, delta: bytes | None, n: int, steps: int) -> None:
    """Check the vector and the count behind it; an evaluation carries no vector."""
    if (delta is not None) != (order.kind == "train"):
        raise Refused("update.shape", sentence="Only a training order is answered by a vector.")
    if delta is None:
        return
    if not permit.min_examples <= n <= permit.examples:
        raise Refused("update.min_examples", n, permit.min_examples)
    if steps <= 1 and permit.recipe.local.batch == 1:
        raise Refused("site.policy", sentence="One step on one case would give the case away.")
    bound = permit.charter.aggregator.params.get("norm_max")
    check_delta(delta, permit.layout.count, Decimal(bound) if bound else None)


def statements_of(permit: Permit, order: Order, answer: Answer) -> list[tuple[str, dict[str, Any]]]:
    """What the site would say with an answer: its metrics, then its update."""
    data = {
        "dataset": permit.dataset.id,
        "dataset_version": permit.dataset_version,
        "round": order.round,
    }
    measured = {**data, "model_sha256": order.model_sha256}
    said: list[tuple[str, dict[str, Any]]] = [
        ("metric.reported", {**measured, **claim}) for claim in answer.claims
    ]
    if answer.delta is not None:
        update = {
            **data,
            "base_model_sha256": order.model_sha256,
            "update_sha256": sha256_id(answer.delta),
            "bytes": len(answer.delta),
            "encoding": ENCODING[permit.charter.aggregator.masked],
            "masked": permit.charter.aggregator.masked,
            "n": answer.n,
            "dp": answer.cost,
        }
        said.append(("update.submitted", update))
    return said


def _agreed(permit: Permit, metrics: Sequence[MetricClaim]) -> list[dict[str, Any]]:
    names = permit.charter.evaluation.metrics
    shown = [
        (claim, presentable(claim, names, permit.min_cell, permit.patients)) for claim in metrics
    ]
    return [
        {"phase": claim.phase, "split": claim.split, "values": values}
        for claim, values in shown
        if values
    ]
