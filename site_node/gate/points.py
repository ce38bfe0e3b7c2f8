"""Operating points: chosen once, kept here, and taken from the log where this home forgot them.

A threshold that moves with the results makes every sensitivity look good. It is fixed in the
transaction of the first answer that rests on it; a later round, a restart, a new version of the
dataset or a home from a backup use the same, and the log refuses another (`metric.frozen`).

Source: design/federation.md §9.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from compliance.errors import Refused
from compliance.records.measures import LOCAL, POINT
from compliance.records.order import Order
from compliance.records.types import time_text
from site_node.gate.journal import Clock, Journal
from site_node.gate.permits import Permit
from site_node.store import points as table
from site_node.store.journal import Sessions, Transaction
from site_node.store.points import PointRow

Beside: TypeAlias = Sequence[Callable[[Transaction], None]]
KINDS = ("", LOCAL)
FORM = re.compile(r"0\.\d{1,2}", re.ASCII)


class OperatingPoints:
    """Keeps the frozen thresholds of one hospital.

    Args:
        site: its name.
        sessions: the site's database.
        journal: the site's own record.
        clock: the time now.
    """

    def __init__(self, *, site: str, sessions: Sessions, journal: Journal, clock: Clock) -> None:
        self._site, self._sessions, self._journal = site, sessions, journal
        self._clock = clock

    def at(self, permit: Permit) -> dict[str, str | None]:
        """What is frozen for a study, by kind of model; what the log tells comes first."""
        with self._sessions() as session:
            kept = {row.kind: row.point for row in table.points_of(session, permit.study)}
        told = {kind: permit.state.points.get((self._site, kind + POINT)) for kind in KINDS}
        return kept | {kind: point for kind, point in told.items() if point is not None}

    def ripe(self, permit: Permit) -> bool:
        """Whether the common model was trained at all: of drawn numbers no threshold is chosen."""
        return bool(permit.state.rounds_closed)

    def beside(self, permit: Permit, order: Order, chosen: Mapping[str, str | None]) -> Beside:
        """What must be kept in the transaction of an answer: thresholds that it chose.

        Raises:
            Refused: `site.failed`, what was chosen is no hundredth.
        """
        if any(point is not None and not FORM.fullmatch(point) for point in chosen.values()):
            raise Refused("site.failed", sentence="A threshold came out that is no hundredth.")

        def keep(session: Transaction) -> None:
            for kind in sorted(set(chosen) & set(KINDS)):
                row = PointRow(
                    study=permit.study,
                    kind=kind,
                    point=chosen[kind],
                    round=order.round,
                    model_sha256=order.model_sha256,
                    at=time_text(self._clock()),
                )
                if table.keep_point(session, row):
                    told = {"model": kind or "common", "point": chosen[kind]}
                    self._journal.within(session, "threshold.frozen", study=permit.study, **told)

        return (keep,) if chosen else ()
