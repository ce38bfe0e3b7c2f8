"""Who rests: a hospital whose updates are not what they claim to be, round after round.

Everybody who reads the log finds the same answer: it follows from the accounts of closed rounds.

Source: design/federation.md §5.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from compliance.records.reasons import Excluded
from compliance.rules.state import ClosedRound, StudyState

OFFENCES = frozenset(
    {Excluded.BAD_HASH, Excluded.WRONG_SHAPE, Excluded.NOT_FINITE, Excluded.BAD_COUNT}
)
"""What an honest program does not do; a large norm or a late answer may happen to anybody."""

PARAMETER = "offences"
DEFAULT = 3
ROUNDS_OF_REST = 3


@dataclass(frozen=True)
class Rest:
    """A hospital that is not asked for a while.

    Args:
        site: its name.
        since: number of the first round of its rest.
        until: number of the last one.
        reasons: why its last updates did not count, oldest first.
    """

    site: str
    since: int
    until: int
    reasons: tuple[str, ...]


@dataclass
class _Record:
    reasons: list[str] = field(default_factory=list)
    rest: Rest | None = None


def resting(state: StudyState) -> dict[str, Rest]:
    """Hospitals that rest in the open round, or in the next one when none is open.

    Nobody rests where that would leave fewer hospitals than the charter asks for: then the rounds
    are aborted, and three aborted ones pause the study.
    """
    number = state.open_round.number if state.open_round else state.rounds_opened + 1
    active = state.active_sites()
    found = {
        site: rest
        for site, rest in rests(state.rounds_closed, most_offences(state)).items()
        if rest.since <= number <= rest.until and site in active
    }
    return found if len(active) - len(found) >= state.charter.min_sites else {}


def most_offences(state: StudyState) -> int:
    """How many offences in a row the charter allows before a rest."""
    return int(state.charter.aggregator.params.get(PARAMETER, DEFAULT))


def rests(closed: list[ClosedRound], most: int) -> dict[str, Rest]:
    """The newest rest of each hospital that ever had one.

    A round without an answer neither adds to a row of offences nor ends it.

    Args:
        closed: the accounts, oldest first.
        most: offences in a row that bring a rest.
    """
    return {
        site: told.rest for site, told in _records(closed, most).items() if told.rest is not None
    }


def in_a_row(closed: list[ClosedRound], most: int) -> dict[str, tuple[str, ...]]:
    """Hospitals whose last updates did not count, with the reasons since the last one that did.

    Arguments as for `rests`; a rest begins the row anew.
    """
    return {
        site: tuple(told.reasons) for site, told in _records(closed, most).items() if told.reasons
    }


def _records(closed: list[ClosedRound], most: int) -> dict[str, _Record]:
    records: dict[str, _Record] = {}
    for row in closed:
        for site in row.used:
            records.setdefault(site, _Record()).reasons.clear()
        for site, reason in row.excluded.items():
            _count(records.setdefault(site, _Record()), site, reason, row.number, most)
    return records


def _count(told: _Record, site: str, reason: Excluded, number: int, most: int) -> None:
    if reason not in OFFENCES:
        told.reasons.clear()
        return
    told.reasons.append(str(reason))
    if len(told.reasons) >= most:
        told.rest = Rest(site, number + 1, number + ROUNDS_OF_REST, tuple(told.reasons))
        told.reasons.clear()
