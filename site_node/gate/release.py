"""Release: what leaves this hospital is judged, signed, journalled and kept in one transaction.

An update that breaks a floor stays here; what leaves is a vector, counts not below the floor, short
decimals, hashes and signatures, never a sentence.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.order import Order
from compliance.records.types import time_text
from compliance.rules.fold import judge
from compliance.rules.verdict import Denied
from site_node.gate.journal import Clock, Journal
from site_node.gate.keys import Keys
from site_node.gate.measures import MetricClaim, check_delta, presentable
from site_node.gate.mirror import Mirror
from site_node.gate.permits import Permit, Permits
from site_node.gate.refusals import Refusals
from site_node.gate.statements import Statements
from site_node.store import outbox, replies
from site_node.store.journal import Sessions
from site_node.store.replies import ReplyRow

KEPT = 3
SEPARATOR = "\x1e"


@dataclass(frozen=True)
class CachedReply:
    """An answer given before: the same vector, the notes that belong to this order."""

    delta: bytes | None
    notes: list[bytes]


@dataclass(frozen=True)
class Answer:
    """What would leave: a vector or none, cases it rests on, agreed metrics already blanked."""

    delta: bytes | None
    n: int
    claims: list[dict[str, Any]]


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
        clock: Clock,
    ) -> None:
        self._keys, self._permits, self._statements = keys, permits, statements
        self._sessions, self._journal, self._folder = sessions, journal, folder
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
    ) -> list[bytes]:
        """Judge an answer and let it out; returns its signed notes.

        Raises:
            Refused: a floor, a bound or a rule of the log forbids it; nothing was kept.
        """
        try:
            permit = self._permits.check(order, self._clock())  # training took its time: ask again
            check_answer(permit, order, delta, n, steps)
            answer = Answer(delta, n, _agreed(permit, metrics))
            notes = self._notes(permit, order, answer)
        except Refused as error:
            self._journal.write("kept.back", study=permit.study, rule=error.rule, said=str(error))
            raise
        self._store(permit, order, answer, notes)
        return notes

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

    def _store(self, permit: Permit, order: Order, answer: Answer, notes: list[bytes]) -> None:
        delta = answer.delta
        update_sha256 = self._keep_vector(delta) if delta is not None else None
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
            self._journal.within(
                session,
                "released",
                study=permit.study,
                order=order.kind,
                round=order.round,
                n=answer.n,
                bytes=len(delta or b"") + sum(len(note) for note in notes),
                sha256=update_sha256,
                notes=[sha256_id(note) for note in notes],
            )
        self._sweep()

    def _keep_vector(self, delta: bytes) -> str:
        digest = sha256_id(delta)
        path = self._vector_path(digest)
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                file.write(delta)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
        return digest

    def _vector_path(self, digest: str) -> Path:
        return self._folder / f"{digest.removeprefix('sha256:')}.f32"

    def _sweep(self) -> None:
        files = sorted(self._folder.glob("*.f32"), key=lambda path: path.stat().st_mtime_ns)
        for path in files[:-KEPT]:
            path.unlink(missing_ok=True)

    def cached(self, permit: Permit, order: Order) -> CachedReply | None:
        """The answer this site gave before on the same model and data, or None.

        The same order gets the very same notes; a later round on the same model gets the same
        vector with fresh notes. Neither costs training.
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
            delta = self._read_vector(row.update_sha256)
            if row.update_sha256 is not None and delta is None:
                continue
            if row.round == order.round:
                notes = [text.encode() for text in row.notes.decode().split(SEPARATOR)]
                return CachedReply(delta, [note for note in notes if note])
            answer = Answer(delta, row.n, json.loads(row.claims))
            notes = self._notes(permit, order, answer)
            self._store(permit, order, answer, notes)
            return CachedReply(delta, notes)
        return None

    def _read_vector(self, digest: str | None) -> bytes | None:
        if digest is None:
            return None
        try:
            data = self._vector_path(digest).read_bytes()
        except FileNotFoundError:
            return None
        return data if sha256_id(data) == digest else None


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
            "encoding": "packed-f32",
            "masked": False,
            "n": answer.n,
            "dp": None,
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
