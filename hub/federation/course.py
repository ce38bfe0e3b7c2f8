"""The course of one round: who was asked, who answered, what still may happen, when it ends.

Plain values and questions; it reads no clock and sends nothing.

Source: design/federation.md §3.1, §3.2.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from compliance.records.reasons import Excluded, Missing
from hub.federation.aggregation.vectors import FileVector

MOST_SENDINGS = 3
LONGEST_GRACE = timedelta(seconds=120)
LATE_SENDING = timedelta(seconds=90)
SILENCE = timedelta(seconds=60)
"""After so long an order is lost that its site, though online, does not name."""


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
        vector: where the values of its update lie, once they were taken, counted or not.
        outcome: final: counted, left out, or missing for good.
        failed: the last order ended without an answer.
        away: it was offline after the order was sent.
        named: when the site last said that it has the order; first, when it was sent.
        not_before: the order is not sent again before this.
    """

    message: str | None = None
    sendings: int = 0
    vector: Path | None = None
    outcome: Counted | Excluded | Missing | None = None
    failed: bool = False
    away: bool = False
    named: datetime | None = None
    not_before: datetime | None = None


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

    def heard(self, working: Mapping[str, int], number: int, now: datetime) -> None:
        """Remember which hospitals say that they have the order of this round in hand."""
        for site, told in working.items():
            if site in self.seats and told == number:
                self.seats[site].named = now

    def to_send(self, online: set[str], now: datetime) -> list[str]:
        """Hospitals that get the order now: never asked, failed, back, or silent about it."""
        late = now > self.deadline - min(LATE_SENDING, (self.deadline - self.opened) / 4)
        found = []
        for site in self.pending():
            seat = self.seats[site]
            if site not in online:
                seat.away = seat.away or seat.sendings > 0
                continue
            if self._wants(seat, now) and not late and seat.sendings < MOST_SENDINGS:
                found.append(site)
        return found

    def _wants(self, seat: Seat, now: datetime) -> bool:
        if seat.not_before is not None and now < seat.not_before:
            return False
        lost = seat.named is not None and now - seat.named >= SILENCE
        return seat.sendings == 0 or seat.failed or seat.away or lost

    def sent(self, site: str, message: str, now: datetime) -> None:
        """Remember that the order is under way."""
        seat = self.seats[site]
        seat.message, seat.sendings, seat.named = message, seat.sendings + 1, now
        seat.failed = seat.away = False

    def put_off(self, site: str, until: datetime) -> None:
        """Ask again later, without counting this time: the fault was the hub's own."""
        seat = self.seats[site]
        seat.message, seat.failed, seat.not_before = None, True, until
        seat.sendings -= 1

    def on_record(self, submitted: Collection[str]) -> None:
        """Name whose word stands in the log without values as late: it is not missing."""
        for site in submitted:
            seat = self.seats[site]
            if seat.outcome is None or isinstance(seat.outcome, Missing):
                self.settle(site, Excluded.LATE)

    def failed(self, site: str) -> None:
        """Remember that an order ended without an answer."""
        seat = self.seats[site]
        seat.message, seat.failed = None, True

    def settle(self, site: str, outcome: Counted | Excluded | Missing) -> None:
        """Remember the one final outcome of a hospital."""
        seat = self.seats[site]
        seat.outcome, seat.message = outcome, None
        seat.vector = outcome.path if isinstance(outcome, Counted) else seat.vector

    def counted(self) -> dict[str, Counted]:
        """Updates that count, by hospital."""
        return {
            site: seat.outcome
            for site, seat in self.seats.items()
            if isinstance(seat.outcome, Counted)
        }

    def measured(self) -> dict[str, FileVector]:
        """Updates whose values are here, those of too large a norm as well."""
        seats = self.seats.items()
        return {site: FileVector(seat.vector) for site, seat in seats if seat.vector is not None}

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
