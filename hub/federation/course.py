"""The course of one round: who was asked, who answered, what still may happen, when it ends.

Plain values and questions; it reads no clock and sends nothing.

Source: design/federation.md §3.1, §3.2.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from compliance.records.reasons import Excluded, Missing

MOST_SENDINGS = 3
LONGEST_GRACE = timedelta(seconds=120)
LATE_SENDING = timedelta(seconds=90)


class End(StrEnum):
    """How a round ends, or that it goes on."""

    NOT_YET = "not_yet"
    CLOSE = "close"
    TOO_FEW = "too_few"


@dataclass(frozen=True)
class Counted:
    """An update that counts: where it lies, its hash, cases behind it, its length."""

    path: Path
    sha256: str
    n: int
    norm: float


@dataclass
class Seat:
    """One hospital's place in a round.

    Args:
        message: the order that is under way, or None.
        sendings: how often the order was sent.
        outcome: final: counted, left out, or missing for good.
        failed: the last order ended without an answer.
        away: it was offline after the order was sent.
    """

    message: str | None = None
    sendings: int = 0
    outcome: Counted | Excluded | Missing | None = None
    failed: bool = False
    away: bool = False


@dataclass
class Course:
    """One round from its opening to its account.

    Args:
        sites: hospitals of the round.
        opened: when it was opened.
        deadline: when it ends at the latest.
        min_sites: fewest updates that make a model.
    """

    sites: list[str]
    opened: datetime
    deadline: datetime
    min_sites: int
    seats: dict[str, Seat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for site in self.sites:
            self.seats.setdefault(site, Seat())

    @property
    def grace(self) -> timedelta:
        """How long a round waits for hospitals that are not there at all."""
        return min(LONGEST_GRACE, (self.deadline - self.opened) / 10)

    def pending(self) -> list[str]:
        """Hospitals that may still answer."""
        return [
            site
            for site, seat in self.seats.items()
            if seat.outcome is None and not (seat.failed and seat.sendings >= MOST_SENDINGS)
        ]

    def under_way(self) -> dict[str, str]:
        """Message ids that wait for a reply, by hospital."""
        return {
            site: seat.message
            for site, seat in self.seats.items()
            if seat.message is not None and seat.outcome is None
        }

    def to_send(self, online: set[str], now: datetime) -> list[str]:
        """Hospitals that get the order now: never asked, failed, or back from being away."""
        late = now > self.deadline - min(LATE_SENDING, (self.deadline - self.opened) / 4)
        found = []
        for site in self.pending():
            seat = self.seats[site]
            if site not in online:
                seat.away = seat.away or seat.sendings > 0
                continue
            fresh = seat.sendings == 0
            if (fresh or seat.failed or seat.away) and not late and seat.sendings < MOST_SENDINGS:
                found.append(site)
        return found

    def sent(self, site: str, message: str) -> None:
        """Remember that the order is under way."""
        seat = self.seats[site]
        seat.message, seat.sendings = message, seat.sendings + 1
        seat.failed = seat.away = False

    def failed(self, site: str) -> None:
        """Remember that an order ended without an answer."""
        seat = self.seats[site]
        seat.message, seat.failed = None, True

    def settle(self, site: str, outcome: Counted | Excluded | Missing) -> None:
        """Remember the one final outcome of a hospital."""
        seat = self.seats[site]
        seat.outcome, seat.message = outcome, None

    def counted(self) -> dict[str, Counted]:
        """Updates that count, by hospital."""
        return {
            site: seat.outcome
            for site, seat in self.seats.items()
            if isinstance(seat.outcome, Counted)
        }

    def end(self, online: set[str], now: datetime) -> End:
        """Whether the round ends now, and how."""
        pending = self.pending()
        enough = len(self.counted()) >= self.min_sites
        if not pending or now >= self.deadline:
            return End.CLOSE if enough else End.TOO_FEW
        nobody_here = not set(pending) & online
        if enough and nobody_here and now >= self.opened + self.grace:
            return End.CLOSE
        return End.NOT_YET

    def excluded(self) -> dict[str, str]:
        """Reason by hospital whose update came and does not count."""
        return {
            site: str(seat.outcome)
            for site, seat in self.seats.items()
            if isinstance(seat.outcome, Excluded)
        }

    def missing(self, online: set[str]) -> dict[str, str]:
        """Reason by hospital that sent no update."""
        found = {}
        for site, seat in self.seats.items():
            if isinstance(seat.outcome, Missing):
                found[site] = str(seat.outcome)
            elif seat.outcome is None:
                silent = Missing.NO_ANSWER if site in online else Missing.OFFLINE
                found[site] = str(Missing.FAILED if seat.failed else silent)
        return found
