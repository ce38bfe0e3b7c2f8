"""What is under way is seen: bytes of an order down to a hospital, and of its answer up."""

from __future__ import annotations

from datetime import UTC, datetime

from hub.services.transfers import Transfers

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


def test_the_bytes_of_a_message_are_counted_as_they_pass() -> None:
    """An order in pieces, an answer in pieces; the next order begins at nothing."""
    carried = Transfers(lambda: NOW)
    carried.moved("north.example", "pull-messages", 80, 300)
    for _ in range(3):
        carried.moved("north.example", "pull-object", 100, 5_000_000)
    carried.moved("north.example", "push-object", 2_000_000, 10)
    carried.moved("north.example", "send-node-heartbeat", 50, 50)
    carried.moved("north.example", "pull-messages", 80, 0)

    told = carried.of("north.example")
    assert (told["down"], told["up"]) == (15_000_000, 2_000_000)
    assert carried.of("south.example") == {"down": 0, "up": 0, "at": ""}

    carried.moved("north.example", "pull-messages", 80, 300)
    assert carried.of("north.example")["down"] == 0
