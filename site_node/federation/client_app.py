"""The Flower ClientApp of a hospital: asks permission, trains, lets the answer out by the gate.

Nothing heavy is imported and no dataset file is opened before the permit is given. Whatever goes
wrong becomes a rule id; the story stays in the hospital's journal, for an exception's text would
travel to the hub.

Source: design/federation.md §5.1.
"""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from compliance.errors import ConsiliumError, Malformed, Refused, Unreachable
from compliance.records.layout import model_sha256
from compliance.records.order import Order
from compliance.records.types import seconds_of
from compliance.records.wire import (
    ARRAYS,
    NOTES,
    ORDER,
    VECTOR,
    WORDS,
    vector_file,
    vector_values,
)
from site_node.gate.egress import Leaving
from site_node.gate.measures import MetricClaim
from site_node.gate.permits import BEHIND, Permit
from site_node.gate.terms import check_hours
from site_node.settings import load_settings
from site_node.training.order_of_work import carry_out
from site_node.training.work import Done, Work
from site_node.wiring import Rooms, site_rooms

FAILED = "site.failed"
MIRROR_SECONDS = 30.0
LOOK_SECONDS = 0.25
SPARE_SECONDS = 10.0

app = ClientApp()


@dataclass(frozen=True)
class Reply:
    """What goes back: an update's bytes or none, and signed notes."""

    delta: bytes | None
    notes: list[bytes]


@app.train()
def train(message: Message, context: Context) -> Message:
    """Evaluate the incoming model and train it, if permitted."""
    return _message(message, "train")


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the incoming model, if permitted."""
    return _message(message, "evaluate")


def _message(message: Message, kind: Literal["train", "evaluate"]) -> Message:
    return Message(content_of(message.content, kind), reply_to=message)


def content_of(asked: RecordDict, kind: Literal["train", "evaluate"]) -> RecordDict:
    """Answer a message; what cannot be written into the egress ledger does not leave.

    Flower sends the text of an exception to the hub, and a text can name a folder or a patient:
    whatever goes wrong here, settings that cannot be read included, is answered by silence.
    """
    try:
        with site_rooms(load_settings(strict=False)) as rooms:
            reply = answer(rooms, asked, kind)
            file = None if reply.delta is None else vector_file(reply.delta)
            rooms.egress.write(*_leaving(file, reply.notes, _study_of(rooms, asked)))
            return _record(reply, file)
    except Exception:  # noqa: BLE001 - its text must not travel, and there may be no journal
        return _record(Reply(None, []), None)


def _leaving(file: bytes | None, notes: list[bytes], study: str | None) -> list[Leaving]:
    vector = [] if file is None else [Leaving("model.change", file, study)]
    return vector + [Leaving("statement", note, study) for note in notes]


def _record(reply: Reply, file: bytes | None) -> RecordDict:
    content: dict[str, Any] = {WORDS: ConfigRecord({NOTES: list(reply.notes)})}
    if file is not None and reply.delta is not None:
        array = Array("float32", (len(reply.delta) // 4,), "numpy.ndarray", file)
        content[ARRAYS] = ArrayRecord({VECTOR: array})
    return RecordDict(content)


def _study_of(rooms: Rooms, asked: RecordDict) -> str | None:
    try:
        log = Order.parse(asked[WORDS][ORDER]).log  # type: ignore[arg-type]  # parsing looks
    except Exception:  # noqa: BLE001 - what is no order belongs to no study
        return None
    return next((head.study for head in rooms.mirror.heads() if head.charter_id == log), None)


def answer(rooms: Rooms, content: RecordDict, kind: Literal["train", "evaluate"]) -> Reply:
    """Answer one order; never raises, and says nothing that is not a signed note."""
    order: Order | None = None
    try:
        order, array = read_order(content, kind)
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
    words, arrays = content.get(WORDS), content.get(ARRAYS)
    if not isinstance(words, ConfigRecord) or not isinstance(arrays, ArrayRecord):
        raise Malformed("order", "it lacks its two records")
    told = words.get(ORDER)
    if set(content) != {WORDS, ARRAYS} or set(words) != {ORDER} or not isinstance(told, bytes):
        raise Malformed("order", "it has other keys than agreed")
    order = Order.parse(told)
    if order.kind != kind or set(arrays) != {VECTOR}:
        raise Malformed("order", "kind or arrays are others than agreed")
    return order, arrays[VECTOR].data


def _carry_out(rooms: Rooms, order: Order, array: bytes) -> Reply:
    permit = wait_for_permit(rooms, order, pause=time.sleep, seconds=time.monotonic)
    values = vector_values(array, permit.layout.count)
    found = model_sha256(permit.layout.sha256, bytes(values))
    if found != order.model_sha256:
        raise Refused("round.model", found, order.model_sha256)
    rooms.weights.keep(permit.study, order.model_sha256, values)
    known = rooms.release.cached(permit, order)
    if known is not None:
        rooms.journal.write("answered.again", study=permit.study, round=order.round)
        return Reply(known.delta, known.notes)
    result = work(rooms, permit, order, values)
    delta = None if result.delta is None else result.delta.astype("<f4", copy=False).tobytes()
    notes = rooms.release.admit(
        permit,
        order,
        delta=delta,
        n=result.n,
        steps=result.steps,
        metrics=[MetricClaim(phase, split, values) for phase, split, values in result.metrics],
    )
    return Reply(delta, notes)


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
    end = seconds() + MIRROR_SECONDS
    while True:
        try:
            return rooms.permits.check(order, rooms.clock())
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


def work(rooms: Rooms, permit: Permit, order: Order, values: memoryview) -> Done:
    """Evaluate and train; ended in time, so that the answer does not come late.

    Raises:
        Refused: the deadline came first, or recipe and data do not fit.
    """
    last = seconds_of(order.deadline)

    def in_time(_: str, __: float) -> None:
        if (last - rooms.clock()).total_seconds() < SPARE_SECONDS:
            raise Refused("round.deadline", sentence="The deadline came before the end of work.")
        check_hours(rooms.settings, rooms.clock())

    wanted = Work(
        op="train" if order.kind == "train" else "evaluate",
        recipe=permit.recipe.plain(),
        dataset_dir=str(permit.dataset_dir),
        seed=permit.seed,
        metrics=permit.charter.evaluation.metrics,
        min_cell=permit.min_cell,
        baseline_rounds=_baseline(permit, order),
        seconds=(last - rooms.clock()).total_seconds(),
    )
    _limit_memory(rooms.settings.memory_mb)
    timer = _last_resort(last, rooms.clock())
    try:
        return carry_out(wanted, values, rooms.settings.home / "run", in_time)
    finally:
        timer.cancel()


def _baseline(permit: Permit, order: Order) -> int | None:
    """Train what this hospital could have had alone, once, beside the last evaluation."""
    done = len(permit.state.rounds_closed)
    return done if order.kind == "evaluate" and permit.recipe.baseline and done else None


def _last_resort(deadline: datetime, now: datetime) -> threading.Timer:
    """End this process a while after the deadline, should the work hang."""
    left = (deadline - now).total_seconds() + SPARE_SECONDS
    timer = threading.Timer(max(left, 0.0), os._exit, args=(1,))
    timer.daemon = True
    timer.start()
    return timer


def _limit_memory(megabytes: int) -> None:
    if megabytes:
        limit = megabytes << 20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


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
