"""The egress ledger's table: one row for every body that left, each chained to the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base
from site_node.store.journal import never_changed


class EgressRow(Base):
    """What was about to leave: no value of it, only its length and its hash."""

    __tablename__ = "egress"
    __table_args__ = ({"sqlite_autoincrement": True},)  # remembers the highest number ever given

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[str]
    channel: Mapped[str]
    purpose: Mapped[str]
    study: Mapped[str | None]
    path: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    chain: Mapped[str]

    def told(self) -> dict[str, Any]:
        """What the chain's next link is made from."""
        names = ("id", "at", "channel", "purpose", "study", "path", "bytes", "sha256")
        return {name: getattr(self, name) for name in names}


never_changed(EgressRow.__table__)


def lock(session: Session) -> EgressRow | None:
    """Let nobody else write until the end of the transaction; returns the newest row.

    Agent and ClientApp are two processes: both would chain to the same row otherwise.
    """
    session.connection().exec_driver_sql("BEGIN IMMEDIATE")
    return session.scalar(select(EgressRow).order_by(EgressRow.id.desc()).limit(1))


def add_rows(session: Session, rows: Iterable[EgressRow]) -> None:
    """Write rows; the caller's transaction carries them."""
    session.add_all(rows)


def all_rows(session: Session) -> Iterator[EgressRow]:
    """Every row, oldest first, a thousand at a time."""
    query = select(EgressRow).order_by(EgressRow.id).execution_options(yield_per=1000)
    return iter(session.scalars(query))


def highest(session: Session) -> int:
    """The highest number that a row ever had, by the database's own memory."""
    query = text("SELECT seq FROM sqlite_sequence WHERE name = 'egress'")
    return int(session.scalar(query) or 0)
