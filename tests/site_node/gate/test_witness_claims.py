"""What a hub claims beyond its signature: other entries than the signed ones, a time of its own."""

from __future__ import annotations

import pytest

from compliance.errors import NotReady
from tests.site_node.gate.world import STUDY, World


@pytest.mark.parametrize("first_contact", [False, True])
def test_other_entries_than_the_signed_ones_are_an_alarm_although_the_proof_holds(
    world: World, *, first_contact: bool
) -> None:
    """Checkpoint and proof are the true ones, only the entries were exchanged on the way."""
    rooms = world.joined()
    world.hub.propose(world.charter(rooms))
    rooms.steward.approve(STUDY, None, None)
    world.launch()
    if not first_contact:
        rooms.witness.step(STUDY)
    world.hub.open_round()
    shown, tree = world.hub.checkpoint(), world.hub.log.tree()
    world.hub.log.entries.pop()
    world.time.forward(seconds=3)
    world.hub.log.entries.append(
        world.hub.note("study.stopped", {"reason": "operator", "on_behalf": None})
    )
    world.hub.checkpoint = lambda log=None: shown  # type: ignore[method-assign]
    world.hub.log.tree = lambda: tree  # type: ignore[method-assign]

    step = rooms.witness.step(STUDY)

    assert (step.outcome, step.rule) == ("alarm", "checkpoint.entries")
    assert world.hub.log.lines == []


def test_a_time_ahead_of_this_clock_is_neither_cosigned_nor_called_a_lie(
    world: World,
) -> None:
    """Which of two clocks is wrong is not known here: nothing is signed, nothing is accused."""
    rooms = world.joined()
    world.launched(rooms)
    now = world.time.now
    world.time.forward(minutes=11)
    world.hub.open_round()
    world.time.now = now

    with pytest.raises(NotReady, match="ahead of this clock"):
        rooms.witness.step(STUDY)

    assert rooms.mirror.alarms() == []
    assert world.hub.log.lines == []
    world.time.forward(minutes=2)
    assert rooms.witness.step(STUDY).outcome == "cosigned"
