"""The table of sealed payloads: the part of the record that can be erased, beside the log.

An erased row stays with NULL, so that the same payload does not come back by the same way.
"""

from __future__ import annotations

from sqlalchemy import LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class SealedRow(Base):
    """What an entry commits to; salt and payload are NULL once they were erased."""

    __tablename__ = "sealed_payload"
    commitment: Mapped[str] = mapped_column(Text, primary_key=True)
    log: Mapped[str] = mapped_column(Text, index=True)
    salt: Mapped[bytes | None] = mapped_column(LargeBinary)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)
    erased_at: Mapped[str | None] = mapped_column(Text)


def find_sealed(session: Session, commitment: str) -> SealedRow | None:
    """A payload by what the entry commits to."""
    return session.get(SealedRow, commitment)


def add_sealed(session: Session, row: SealedRow) -> None:
    """Keep a payload."""
    session.add(row)
    session.flush()


def sealed_of(session: Session, log: str) -> dict[str, SealedRow]:
    """Every payload of a log, by commitment."""
    query = select(SealedRow).where(SealedRow.log == log)
    return {row.commitment: row for row in session.scalars(query)}


def empty(session: Session, row: SealedRow, now: str) -> None:
    """Delete salt and payload; the row says when."""
    row.salt = row.payload = None
    row.erased_at = now
    session.flush()
