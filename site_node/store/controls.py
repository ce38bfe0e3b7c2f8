"""SCAFFOLD's memory: the control variate of each round, and what became of the round's training.

The numbers lie in files named after their hash; they are made of training cases and never leave.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class ControlRow(Base):
    """One round of a study: the control it was trained with; once answered, the own result."""

    __tablename__ = "control"

    log: Mapped[str] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    study: Mapped[str] = mapped_column(index=True)
    base_sha256: Mapped[str]
    control_sha256: Mapped[str]
    own_sha256: Mapped[str | None]
    update_sha256: Mapped[str | None]
    rate: Mapped[str]
    steps: Mapped[int | None]


def find_control(session: Session, log: str, number: int) -> ControlRow | None:
    """The row of a round."""
    return session.get(ControlRow, (log, number))


def control_before(session: Session, log: str, number: int) -> ControlRow | None:
    """The newest row of an earlier round."""
    query = select(ControlRow).where(ControlRow.log == log, ControlRow.round < number)
    return session.scalars(query.order_by(ControlRow.round.desc()).limit(1)).first()


def keep_control(session: Session, row: ControlRow) -> None:
    """Keep a row; one per round."""
    session.merge(row)


def drop_controls(session: Session, log: str, before: int) -> None:
    """Forget the rounds before a number."""
    query = select(ControlRow).where(ControlRow.log == log, ControlRow.round < before)
    for row in session.scalars(query):
        session.delete(row)


def control_files(session: Session, study: str) -> set[str]:
    """Hashes of every file that a row of this study names."""
    rows = session.scalars(select(ControlRow).where(ControlRow.study == study)).all()
    return {name for row in rows for name in (row.control_sha256, row.own_sha256) if name}
