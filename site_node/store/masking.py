"""Masked rounds: this site's mask keys, what it sent under masks, and which lists it answered."""

from __future__ import annotations

from sqlalchemy import JSON, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class MaskKeyRow(Base):
    """A mask key of this site for one study's log; the private half never leaves."""

    __tablename__ = "mask_key"

    log: Mapped[str] = mapped_column(primary_key=True)
    public: Mapped[str] = mapped_column(primary_key=True)
    private: Mapped[bytes]
    text_sha256: Mapped[str]
    at: Mapped[str]


class MaskedRow(Base):
    """One masked update: with which keys it was made, and what travels beside it, always again."""

    __tablename__ = "masked_update"

    log: Mapped[str] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    leaf: Mapped[str]
    update_sha256: Mapped[str]
    keys: Mapped[dict[str, str]] = mapped_column(JSON)
    shares: Mapped[bytes]
    commitments: Mapped[bytes]


class UnmaskRow(Base):
    """The one list that was answered for a base model, and the answer."""

    __tablename__ = "unmasked"

    log: Mapped[str] = mapped_column(primary_key=True)
    base_sha256: Mapped[str] = mapped_column(primary_key=True)
    leaf: Mapped[str]
    answer: Mapped[bytes]


def find_key(session: Session, log: str, public: str) -> MaskKeyRow | None:
    """The key with this public half."""
    return session.get(MaskKeyRow, (log, public))


def newest_key(session: Session, log: str) -> MaskKeyRow | None:
    """The key that was made last for a log."""
    query = select(MaskKeyRow).where(MaskKeyRow.log == log).order_by(MaskKeyRow.at.desc())
    return session.scalars(query.limit(1)).first()


def find_masked(session: Session, log: str, number: int) -> MaskedRow | None:
    """What was sent in a round."""
    return session.get(MaskedRow, (log, number))


def find_unmasked(session: Session, log: str, base_sha256: str) -> UnmaskRow | None:
    """What was answered for a base model."""
    return session.get(UnmaskRow, (log, base_sha256))


def add(session: Session, row: MaskKeyRow | MaskedRow | UnmaskRow) -> None:
    """Keep a row; a second one in its place is an error of the database: it is never replaced."""
    session.add(row)
