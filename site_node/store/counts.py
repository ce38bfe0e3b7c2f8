"""The table of counts: what this hospital tells of each cell, and what was there at that time."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class CountRow(Base):
    """One cell of a dataset's grid.

    `told` may be asked for; `there` is the exact count when it was last told anew, `seen` at the
    last look that counted; both never leave.
    """

    __tablename__ = "counts"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    cell: Mapped[str] = mapped_column(primary_key=True)
    floor: Mapped[int]
    told: Mapped[int]
    there: Mapped[int]
    seen: Mapped[int]


def counts_of(session: Session, dataset: str) -> list[CountRow]:
    """Every cell of a dataset that was ever looked at."""
    query = select(CountRow).where(CountRow.dataset == dataset).order_by(CountRow.cell)
    return list(session.scalars(query).all())


def keep_counts(session: Session, rows: Iterable[CountRow]) -> None:
    """Keep cells; the caller's transaction carries them."""
    for row in rows:
        session.merge(row)
