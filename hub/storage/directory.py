"""Table of the directory: the person behind an id that stands in the logs; the erasable part."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class DirectoryRow(Base):
    """One person; what is NULL was erased, and the id leads nowhere."""

    __tablename__ = "directory"
    dir: Mapped[str] = mapped_column(Text, primary_key=True)
    account: Mapped[int | None] = mapped_column(ForeignKey("account.id"), unique=True)
    display: Mapped[str | None] = mapped_column(Text)
    contact: Mapped[str | None] = mapped_column(Text)


def add(session: Session, row: DirectoryRow) -> None:
    """Enter a person."""
    session.add(row)
    session.flush()


def of_account(session: Session, account: int) -> DirectoryRow | None:
    """The person who has this account."""
    return session.scalar(select(DirectoryRow).where(DirectoryRow.account == account))


def known(session: Session) -> list[DirectoryRow]:
    """Everybody who was not erased."""
    query = select(DirectoryRow).where(DirectoryRow.account.is_not(None))
    return list(session.scalars(query.order_by(DirectoryRow.dir)))
