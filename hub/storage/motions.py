"""Tables of motions: texts that wait for signatures, and the signature lines they have."""

from __future__ import annotations

from sqlalchemy import LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class MotionRow(Base):
    """A text that waits for signatures; it never changes. `idx` is its place once it was carried.

    `state` is `open`, `carried` or `refused`; `rule` says by which rule.
    """

    __tablename__ = "motion"
    motion: Mapped[str] = mapped_column(Text, primary_key=True)
    log: Mapped[str] = mapped_column(Text, index=True)
    kind: Mapped[str] = mapped_column(Text)
    text: Mapped[bytes] = mapped_column(LargeBinary)
    created: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text, default="open")
    rule: Mapped[str | None] = mapped_column(Text)
    idx: Mapped[int | None]


class MotionSignatureRow(Base):
    """One signature line under a motion."""

    __tablename__ = "motion_signature"
    motion: Mapped[str] = mapped_column(Text, primary_key=True)
    key_name: Mapped[str] = mapped_column(Text, primary_key=True)
    line: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)


def find_motion(session: Session, motion: str) -> MotionRow | None:
    """A motion by its id."""
    return session.get(MotionRow, motion)


def add_motion(session: Session, row: MotionRow) -> None:
    """Keep a new motion."""
    session.add(row)
    session.flush()


def open_motions(session: Session, since: str) -> list[MotionRow]:
    """Motions that still wait, made at or after a moment, oldest first."""
    query = select(MotionRow).where(MotionRow.state == "open", MotionRow.created >= since)
    return list(session.scalars(query.order_by(MotionRow.created, MotionRow.motion)))


def carried_motions(session: Session, most: int) -> list[MotionRow]:
    """The motions that were carried last, newest first."""
    query = select(MotionRow).where(MotionRow.state == "carried")
    return list(session.scalars(query.order_by(MotionRow.created.desc()).limit(most)))


def motion_signatures(session: Session, motion: str) -> list[MotionSignatureRow]:
    """The signature lines of a motion, by name."""
    query = select(MotionSignatureRow).where(MotionSignatureRow.motion == motion)
    return list(session.scalars(query.order_by(MotionSignatureRow.key_name)))


def add_motion_signature(session: Session, row: MotionSignatureRow) -> None:
    """Keep a signature line; the one that a name gave first stays."""
    if session.get(MotionSignatureRow, (row.motion, row.key_name)) is None:
        session.add(row)
        session.flush()
