"""Where a study stands, as a table; the diagram in the guides is printed from it."""

from __future__ import annotations

from enum import StrEnum


class Phase(StrEnum):
    """The four places a study can stand."""

    READY = "ready"
    IN_ROUND = "in_round"
    STOPPED = "stopped"
    CLOSED = "closed"


STEPS: dict[tuple[Phase, str], Phase] = {
    (Phase.READY, "round.opened"): Phase.IN_ROUND,
    (Phase.IN_ROUND, "update.submitted"): Phase.IN_ROUND,
    (Phase.IN_ROUND, "round.unmasking"): Phase.IN_ROUND,
    (Phase.IN_ROUND, "round.closed"): Phase.READY,
    (Phase.IN_ROUND, "round.aborted"): Phase.READY,
    (Phase.READY, "charter.amended"): Phase.READY,
    (Phase.STOPPED, "charter.amended"): Phase.STOPPED,
    (Phase.READY, "site.joined"): Phase.READY,
    (Phase.IN_ROUND, "site.joined"): Phase.IN_ROUND,
    (Phase.STOPPED, "site.joined"): Phase.STOPPED,
    (Phase.READY, "site.limited"): Phase.READY,
    (Phase.IN_ROUND, "site.limited"): Phase.IN_ROUND,
    (Phase.STOPPED, "site.limited"): Phase.STOPPED,
    (Phase.READY, "study.stopped"): Phase.STOPPED,
    (Phase.IN_ROUND, "study.stopped"): Phase.STOPPED,
    (Phase.STOPPED, "study.stopped"): Phase.STOPPED,
    (Phase.CLOSED, "study.stopped"): Phase.CLOSED,
    (Phase.STOPPED, "study.resumed"): Phase.READY,
    (Phase.READY, "study.closed"): Phase.CLOSED,
    (Phase.STOPPED, "study.closed"): Phase.CLOSED,
}
"""What is not in here, and is named by some row, is refused; other statements do not move it."""

MOVING = frozenset(kind for _, kind in STEPS)

WRONG: dict[Phase, str] = {
    Phase.CLOSED: "study.closed",
    Phase.STOPPED: "study.stopped",
    Phase.READY: "round.sequence",
    Phase.IN_ROUND: "round.sequence",
}
"""The rule that refuses a step that the table does not have."""
