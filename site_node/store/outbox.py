"""The outbox: every statement this site ever signed, and where it stands in the log."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base

RELAY = "relay"
ENTRIES = "entries"
DATASETS = "datasets"
MOTIONS = "motions"


class OutboxRow(Base):
    """One signed note: `relay` travels with a reply through Flower, `motions` wait for others."""

    __tablename__ = "outbox"

    text_sha256: Mapped[str] = mapped_column(primary_key=True)
    leaf_hash: Mapped[bytes]
    note: Mapped[bytes]
    study: Mapped[str | None] = mapped_column(index=True)
    way: Mapped[str]
    made_at: Mapped[str]
    sent_at: Mapped[str | None]
    index: Mapped[int | None]
    refused: Mapped[str | None]


def keep_note(
    session: Session,
    *,
    text_sha256: str,
    leaf_hash: bytes,
    note: bytes,
    study: str | None,
    way: str,
    at: str,
) -> None:
    """Keep a statement before it leaves; the same statement is kept once."""
    if session.get(OutboxRow, text_sha256) is None:
        session.add(
            OutboxRow(
                text_sha256=text_sha256,
                leaf_hash=leaf_hash,
                note=note,
                study=study,
                way=way,
                made_at=at,
                sent_at=None,
                index=None,
                refused=None,
            )
        )


def find_note(session: Session, text_sha256: str) -> OutboxRow | None:
    """The statement with this text, if this site ever said it."""
    return session.get(OutboxRow, text_sha256)


def waiting_notes(session: Session, study: str | None = None) -> list[OutboxRow]:
    """Statements that were neither sent nor refused, oldest first; not relayed, not of motions."""
    query = select(OutboxRow).where(OutboxRow.way.not_in((RELAY, MOTIONS)))
    query = query.where(OutboxRow.sent_at.is_(None), OutboxRow.refused.is_(None))
    if study is not None:
        query = query.where(OutboxRow.study == study)
    return list(session.scalars(query.order_by(OutboxRow.made_at)).all())


def waiting_motions(session: Session) -> list[OutboxRow]:
    """Signatures under texts of several that were neither sent nor refused, oldest first."""
    query = select(OutboxRow).where(OutboxRow.way == MOTIONS)
    query = query.where(OutboxRow.sent_at.is_(None), OutboxRow.refused.is_(None))
    return list(session.scalars(query.order_by(OutboxRow.made_at)).all())


def of_way(session: Session, way: str) -> list[OutboxRow]:
    """Every statement that goes this way, oldest first."""
    query = select(OutboxRow).where(OutboxRow.way == way).order_by(OutboxRow.made_at)
    return list(session.scalars(query).all())


def of_study(session: Session, study: str) -> list[OutboxRow]:
    """Every statement for one log, oldest first."""
    query = select(OutboxRow).where(OutboxRow.study == study).order_by(OutboxRow.made_at)
    return list(session.scalars(query).all())


def missing_notes(session: Session, study: str, before: str) -> list[OutboxRow]:
    """Statements that the hub took before a time, that the log does not show and nobody refused.

    What travelled with a reply through Flower has no such time: it may have been too late.
    """
    query = select(OutboxRow).where(OutboxRow.study == study, OutboxRow.sent_at < before)
    query = query.where(OutboxRow.index.is_(None), OutboxRow.refused.is_(None))
    query = query.where(OutboxRow.way != MOTIONS)
    return list(session.scalars(query).all())


def mark_delivered(session: Session, text_sha256: str, at: str) -> None:
    """Remember when the hub took the statement."""
    session.execute(
        update(OutboxRow).where(OutboxRow.text_sha256 == text_sha256).values(sent_at=at)
    )


def mark_refused(session: Session, text_sha256: str, rule: str) -> None:
    """Remember that the hub refused the statement, and by which rule."""
    session.execute(
        update(OutboxRow).where(OutboxRow.text_sha256 == text_sha256).values(refused=rule)
    )


def mark_logged(session: Session, text_sha256: str, index: int) -> None:
    """Remember where the statement stands in the log."""
    session.execute(
        update(OutboxRow).where(OutboxRow.text_sha256 == text_sha256).values(index=index)
    )
