"""When the records of a study may be destroyed: at the agreed date, as a whole, by two people.

Nothing here destroys; the hub asks before it does. A refusal is not final: waiting, closing a case
or a second person resolves it, so each answer says which.

Source: design/compliance.md §8.
"""

from __future__ import annotations

from collections.abc import Iterable

from compliance.errors import NotReady
from compliance.records.types import seconds_of
from compliance.rules.state import StudyState
from compliance.rules.verdict import ALLOWED, Allowed

CONFIRMATIONS = 2
SECONDS_PER_DAY = 86_400


def may_destroy(state: StudyState, now: str, confirmed_by: Iterable[str]) -> Allowed | NotReady:
    """Say whether the records of this study may be destroyed now.

    Args:
        state: the fold of the study's whole log.
        now: UTC second, as records carry it.
        confirmed_by: administrators who confirmed; one who confirms twice counts once.

    Returns:
        Allowed, or the finding with what resolves it; whoever must stop there raises it.
    """
    ended = may_end(state, now)
    if isinstance(ended, NotReady):
        return ended
    people = set(confirmed_by)
    if len(people) < CONFIRMATIONS:
        return NotReady(
            f"{len(people)} of {CONFIRMATIONS} administrators confirmed.",
            "Ask another administrator to confirm; destroyed records do not come back.",
        )
    return ALLOWED


def may_end(state: StudyState, now: str) -> Allowed | NotReady:
    """Say whether nothing keeps the records any more: the day has come and no case is open.

    Args:
        state: the fold of the study's whole log.
        now: UTC second, as records carry it.
    """
    until = state.charter.retention_until
    if seconds_of(now) < seconds_of(until):
        return NotReady(
            f"the records of this study must be kept until {until}, {days_left(state, now)} more "
            "days.",
            "Wait for that day; an amendment of the charter can move it.",
        )
    holds = legal_holds(state)
    if holds:
        return NotReady(
            f"a review opened a case that nobody closed: entry {', '.join(map(str, holds))}.",
            "Finish the case, then note a review of the same entries with the result closed_case.",
        )
    return ALLOWED


def legal_holds(state: StudyState) -> list[int]:
    """Entries of reviews that opened a case which is still open; each keeps the records."""
    return sorted(state.open_cases)


def days_left(state: StudyState, now: str) -> int:
    """Days until the records may be destroyed, a begun day counted whole; 0 from that day on."""
    left = seconds_of(state.charter.retention_until) - seconds_of(now)
    return max(0, -(int(-left.total_seconds()) // SECONDS_PER_DAY))
