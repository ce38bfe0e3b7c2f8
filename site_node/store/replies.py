"""Replies this site gave: the same order gets the same bytes, without training again."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class ReplyRow(Base):
    """One answered order. The vector lies in a file named after its hash; notes and claims here."""

    __tablename__ = "reply"

    study: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    round: Mapped[int] = mapped_column(primary_key=True)
    model_sha256: Mapped[str] = mapped_column(primary_key=True)
    dataset_version: Mapped[str] = mapped_column(primary_key=True)
    update_sha256: Mapped[str | None]
    n: Mapped[int]
    claims: Mapped[str]
    notes: Mapped[bytes]
    at: Mapped[str]


def keep_reply(session: Session, row: ReplyRow) -> None:
    """Keep an answer; one per order."""
    session.merge(row)


def find_replies(
    session: Session, *, study: str, kind: str, model_sha256: str, dataset_version: str
) -> list[ReplyRow]:
    """Answers on the same base model and data, newest first."""
    query = select(ReplyRow).where(ReplyRow.study == study, ReplyRow.kind == kind)
    query = query.where(
        ReplyRow.model_sha256 == model_sha256, ReplyRow.dataset_version == dataset_version
    )
    return list(session.scalars(query.order_by(ReplyRow.round.desc())).all())


def rows_of_kind(session: Session, study: str, kind: str) -> list[ReplyRow]:
    """Every answer of one kind."""
    query = select(ReplyRow).where(ReplyRow.study == study, ReplyRow.kind == kind)
    return list(session.scalars(query.order_by(ReplyRow.round)).all())
