"""What a permitted order asks of the training worker, ended before its answer would come late.

Source: design/federation.md §5.1, §12.
"""

from __future__ import annotations

import os
import resource
import threading
from dataclasses import replace
from datetime import datetime

from compliance.errors import Refused
from compliance.records.order import Order
from compliance.records.types import seconds_of
from site_node.gate.budget import Reserved
from site_node.gate.locals import finetunes
from site_node.gate.permits import Permit
from site_node.gate.terms import check_hours
from site_node.training.order_of_work import carry_out
from site_node.training.work import Done, Work
from site_node.wiring import Rooms

SPARE_SECONDS = 10.0


def work(
    rooms: Rooms,
    permit: Permit,
    order: Order,
    values: memoryview,
    reserved: Reserved | None = None,
    control: bytes | None = None,
    layers: bytes | None = None,
) -> Done:
    """Evaluate and train; ended in time, so that the answer does not come late.

    SCAFFOLD's control, or the layers that stay here, go along behind the model's values.

    Raises:
        Refused: the deadline came first, or recipe and data do not fit.
    """
    wanted = Work(
        op="train" if order.kind == "train" else "evaluate",
        recipe=permit.recipe.plain(),
        dataset_dir=str(permit.dataset_dir),
        seed=permit.seed,
        metrics=permit.charter.evaluation.metrics,
        min_cell=permit.min_cell,
        baseline_rounds=_baseline(permit, order),
        seconds=0.0,
        noise=None if reserved is None else reserved.plan(),
        control=control is not None,
        points=rooms.points.at(permit),
        choose=rooms.points.ripe(permit),
        registered_dir=None if permit.registered_dir is None else str(permit.registered_dir),
        home=str(rooms.settings.home),
        layers=layers is not None,
        finetune=finetunes(permit, order),
    )
    beside = (control or b"") + (layers or b"")
    return in_time(rooms, order, wanted, bytes(values) + beside if beside else values)


def in_time(rooms: Rooms, order: Order, wanted: Work, sent: bytes | memoryview) -> Done:
    """Have a job done, and end it before the answer would come late.

    Raises:
        Refused: the deadline came first, or recipe and data do not fit.
    """
    last = seconds_of(order.deadline)

    def look(_: str, share: float) -> None:
        rooms.at_work.tell(share)
        if (last - rooms.clock()).total_seconds() < SPARE_SECONDS:
            raise Refused("round.deadline", sentence="The deadline came before the end of work.")
        check_hours(rooms.settings, rooms.clock())

    wanted = replace(wanted, seconds=(last - rooms.clock()).total_seconds())
    _limit_memory(rooms.settings.memory_mb)
    timer = _last_resort(last, rooms.clock())
    try:
        return carry_out(wanted, sent, rooms.settings.home / "run", look)
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
