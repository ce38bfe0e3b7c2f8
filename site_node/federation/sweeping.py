"""A step of a sweep at this hospital: permitted, worked out by the warm worker, let out.

Source: design/federation.md §10.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from compliance.records.order import Order
from compliance.records.wire import vector_values
from site_node.gate.permits import Permit
from site_node.gate.sweeps import SweepReply, Task, planned
from site_node.training.work import Done, Work
from site_node.wiring import Rooms

Labour = Callable[[Order, Work, bytes], Done]
"""Has a job done in time."""


def carry_out_step(
    rooms: Rooms, permit: Permit, order: Order, array: bytes, do: Labour
) -> SweepReply:
    """Train or measure what the step asks of this hospital.

    Raises:
        Refused: the step does not follow, or a floor or a bound forbids the answer.
    """
    _, _, items = planned(permit, order)
    values = vector_values(array, len(items) * permit.layout.count)
    task = rooms.sweeps.task(permit, order, values)
    known = rooms.sweeps.cached(task)
    if known is not None:
        rooms.journal.write("answered.again", study=permit.study, round=task.step.step)
        return known
    done = do(order, work_of(task, rooms.settings.home), task.models())
    deltas = None if done.delta is None else done.delta.astype("<f4", copy=False).tobytes()
    return rooms.sweeps.admit(task, deltas=deltas, n=done.n, steps=done.steps, counts=done.counts)


def work_of(task: Task, home: Path) -> Work:
    """The step as a job for the worker."""
    permit = task.permit
    return Work(
        op="sweep",
        recipe=permit.recipe.plain(),
        dataset_dir=str(permit.dataset_dir),
        seed=permit.seed,
        metrics=[],
        min_cell=permit.min_cell,
        baseline_rounds=None,
        seconds=0.0,
        home=str(home),
        sweep={
            "log": task.order.log,
            "site": permit.dataset.site,
            "measure": task.measures,
        },
    )
