"""The Flower ClientApp of a hospital: asks permission, trains, lets the answer out by the gate.

Nothing heavy is imported and no dataset file is opened before the permit is given. Whatever goes
wrong becomes a rule id; the story stays in the hospital's journal, for an exception's text would
travel to the hub.

Source: design/federation.md §5.1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeVar

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from compliance.errors import ConsiliumError, Malformed, Refused, Unreachable
from compliance.records.layout import model_sha256
from compliance.records.masking import UnmaskOrder, read_any_order
from compliance.records.order import Order
from compliance.records.wire import (
    ARRAYS,
    FLOATS,
    NOTES,
    OPENED,
    ORDER,
    VECTOR,
    WORDS,
    WORDS_32,
    vector_file,
    vector_values,
)
from site_node.federation.in_time import in_time, work
from site_node.federation.sweeping import carry_out_step
from site_node.gate.drift import DRIFT, data_moved, with_drift
from site_node.gate.egress import Leaving
from site_node.gate.measures import MetricClaim
from site_node.gate.permits import BEHIND, TWICE, Permit
from site_node.gate.release import Together
from site_node.settings import load_settings
from site_node.training.work import Done
from site_node.wiring import Rooms, site_rooms

FAILED = "site.failed"
MIRROR_SECONDS = 30.0
LOOK_SECONDS = 0.25

Kind = Literal["train", "evaluate", "sweep", "unmask"]
Asked = TypeVar("Asked")

app = ClientApp()


@dataclass(frozen=True)
class Reply:
    """What goes back: an update's bytes or none, and signed notes."""

    delta: bytes | None
    notes: list[bytes]
    papers: Mapping[str, bytes] = field(default_factory=dict)
    """What travels beside a masked update, or opened shares; empty without masks."""

    @property
    def type(self) -> str:
        """Of the update's values: floats, or words under masks."""
        return WORDS_32 if self.papers else FLOATS


@app.train()
def train(message: Message, context: Context) -> Message:
    """Evaluate the incoming model and train it, if permitted."""
    return _message(message, "train")


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the incoming model, if permitted."""
    return _message(message, "evaluate")


@app.query()
def unmask(message: Message, context: Context) -> Message:
    """Open the shares of a masked round, if permitted."""
    return _message(message, "unmask")


@app.train("sweep")
def sweep(message: Message, context: Context) -> Message:
    """Train or measure coalitions, if permitted."""
    return _message(message, "sweep")


def _message(message: Message, kind: Kind) -> Message:
    return Message(content_of(message.content, kind), reply_to=message)


def content_of(asked: RecordDict, kind: Kind) -> RecordDict:
    """Answer a message; what cannot be written into the egress ledger does not leave.

    Flower sends the text of an exception to the hub, and a text can name a folder or a patient:
    whatever goes wrong here, settings that cannot be read included, is answered by silence.
    """
    try:
        with site_rooms(load_settings(strict=False)) as rooms:
            reply = answer(rooms, asked, kind)
            file = None if reply.delta is None else vector_file(reply.delta, reply.type)
            rooms.egress.write(*_leaving(file, reply, _study_of(rooms, asked)))
            return _record(reply, file)
    except Exception:  # noqa: BLE001 - its text must not travel, and there may be no journal
        return _record(Reply(None, []), None)


def _leaving(file: bytes | None, reply: Reply, study: str | None) -> list[Leaving]:
    vector = [] if file is None else [Leaving("model.change", file, study)]
    vector += [Leaving("mask.share", paper, study) for paper in reply.papers.values()]
    return vector + [Leaving("statement", note, study) for note in reply.notes]


def _record(reply: Reply, file: bytes | None) -> RecordDict:
    content: dict[str, Any] = {WORDS: ConfigRecord({NOTES: list(reply.notes), **reply.papers})}
    if file is not None and reply.delta is not None:
        array = Array(
            "uint32" if reply.papers else "float32", (len(reply.delta) // 4,), "numpy.ndarray", file
        )
        content[ARRAYS] = ArrayRecord({VECTOR: array})
    return RecordDict(content)


def _study_of(rooms: Rooms, asked: RecordDict) -> str | None:
    try:
        log = read_any_order(asked[WORDS][ORDER]).log  # type: ignore[arg-type]  # parsing looks
    except Exception:  # noqa: BLE001 - what is no order belongs to no study
        return None
    return next((head.study for head in rooms.mirror.heads() if head.charter_id == log), None)


def answer(rooms: Rooms, content: RecordDict, kind: Kind) -> Reply:
    """Answer one order; never raises, and says nothing that is not a signed note."""
    order: Order | None = None
    try:
        order, array = read_order(content, kind)
        with rooms.at_work.hold(order):
            if isinstance(order, UnmaskOrder):
                return _unmask(rooms, order)
            return _carry_out(rooms, order, array)
    except Exception as error:  # noqa: BLE001 - its text must not travel; the journal has it
        rule = error.rule if isinstance(error, Refused) else FAILED
        _write_down(rooms, order, rule, error)
        return Reply(None, _refusal(rooms, order, rule))


def read_order(content: RecordDict, kind: str) -> tuple[Order, bytes]:
    """Take the order and the vector's file out of a message.

    Raises:
        Malformed: other records or keys, or an order of another kind.
    """
    words = content.get(WORDS)
    told = words.get(ORDER) if isinstance(words, ConfigRecord) and set(words) == {ORDER} else None
    if not isinstance(told, bytes):
        raise Malformed("order", "it has other keys than agreed")
    array = b"" if kind == "unmask" else _model_in(content)
    if set(content) != ({WORDS} if kind == "unmask" else {WORDS, ARRAYS}):
        raise Malformed("order", "it has other records than agreed")
    order = read_any_order(told)
    if order.kind != kind:
        raise Malformed("order", "it is of another kind than its message")
    return order, array


def _model_in(content: RecordDict) -> bytes:
    arrays = content.get(ARRAYS)
    if not isinstance(arrays, ArrayRecord) or set(arrays) != {VECTOR}:
        raise Malformed("order", "it has other arrays than agreed")
    return arrays[VECTOR].data


def _unmask(rooms: Rooms, order: UnmaskOrder) -> Reply:
    study, state = wait_for(rooms, order, lambda: rooms.permits.check_unmask(order))
    return Reply(None, [], {OPENED: rooms.masking.unmask(study, state, order)})


def _carry_out(rooms: Rooms, order: Order, array: bytes) -> Reply:
    permit = wait_for_permit(rooms, order, pause=time.sleep, seconds=time.monotonic)
    if order.kind == "sweep":
        told = carry_out_step(rooms, permit, order, array, partial(in_time, rooms))
        return Reply(told.deltas, told.notes)
    values = vector_values(array, permit.layout.count)
    found = model_sha256(permit.layout.sha256, bytes(values))
    if found != order.model_sha256:
        raise Refused("round.model", found, order.model_sha256)
    rooms.weights.keep(permit.study, order.model_sha256, values)
    known = rooms.release.cached(permit, order)
    if known is not None:
        rooms.journal.write("answered.again", study=permit.study, round=order.round)
        return Reply(known.delta, known.notes, known.papers)
    if permit.answered:
        raise Refused(TWICE)
    control, layers = rooms.controls.at(permit, order, values), rooms.locals.at(permit, order)
    with rooms.budget.reserved(permit, order) as reserved:
        result = work(rooms, permit, order, values, reserved, control, layers)
        delta, after = _bytes(result.delta), _bytes(result.layers)
        notes = rooms.release.admit(
            permit,
            order,
            delta=delta,
            n=result.n,
            steps=result.steps,
            metrics=_claims(rooms, permit, result),
            together=Together(
                reserved,
                [
                    *rooms.controls.beside(permit, order, values, delta, result.steps),
                    *rooms.points.beside(permit, order, result.points),
                    *rooms.locals.beside(permit, order, layers, after),
                ],
            ),
        )
    if permit.charter.aggregator.masked:
        known = rooms.release.cached(permit, order)  # the plain update stays here
        return Reply(None, []) if known is None else Reply(known.delta, known.notes, known.papers)
    return Reply(delta, notes)


def _bytes(values: Any) -> bytes | None:
    return None if values is None else bytes(values.astype("<f4", copy=False).tobytes())


def _claims(rooms: Rooms, permit: Permit, result: Done) -> list[MetricClaim]:
    """What was measured; how far the data have moved goes along, and is written down if too far."""
    claims = [MetricClaim(phase, split, told) for phase, split, told in result.metrics]
    if result.profiles is None:
        return claims
    moved = data_moved(*result.profiles)
    if any(found.flagged for found in moved.values()):
        told = {name: found.plain() for name, found in moved.items()}
        which = {"dataset": permit.dataset.id, "version": permit.dataset_version}
        rooms.journal.write(DRIFT, study=permit.study, **which, moved=told)
    return with_drift(claims, moved, permit.patients)


def wait_for_permit(
    rooms: Rooms,
    order: Order,
    *,
    pause: Callable[[float], None],
    seconds: Callable[[], float],
) -> Permit:
    """Ask for the permit; while the own mirror is behind the order, let the witness catch up.

    Raises:
        Refused: with the rule that forbids it; `mirror.behind` and `study.unlisted` after half a
            minute.
    """
    check = partial(rooms.permits.check, order)
    return wait_for(rooms, order, lambda: check(rooms.clock()), pause=pause, seconds=seconds)


def wait_for(
    rooms: Rooms,
    order: Order,
    ask: Callable[[], Asked],
    *,
    pause: Callable[[float], None] = time.sleep,
    seconds: Callable[[], float] = time.monotonic,
) -> Asked:
    """Ask again while the own mirror is behind the order; raises as `wait_for_permit`."""
    end = seconds() + MIRROR_SECONDS
    while True:
        try:
            return ask()
        except Refused as error:
            if error.rule not in BEHIND or seconds() >= end:
                raise
        _catch_up(rooms, order)
        pause(LOOK_SECONDS)


def _catch_up(rooms: Rooms, order: Order) -> None:
    rooms.look_at_consortium()
    for head in rooms.mirror.heads():
        if head.charter_id == order.log:
            try:
                rooms.witness.step(head.study)
            except Unreachable:
                return  # the agent or the next look may have more luck


def _refusal(rooms: Rooms, order: Order | None, rule: str) -> list[bytes]:
    if order is None:
        return []
    try:
        return [rooms.release.refuse(order, rule)]
    except Exception as error:  # noqa: BLE001 - a site that cannot sign says nothing
        _write_down(rooms, order, FAILED, error)
        return []


def _write_down(rooms: Rooms, order: Order | None, rule: str, error: Exception) -> None:
    said = str(error) if isinstance(error, ConsiliumError) else f"{type(error).__name__}: {error}"
    try:
        rooms.journal.write(
            "order.not.done", rule=rule, said=said, round=order.round if order else None
        )
    except Exception:  # noqa: BLE001 - a full disk must not send a text to the hub either
        return
