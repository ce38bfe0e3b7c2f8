"""The frozen thresholds: one for each study and kind of model, kept once."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class PointRow(Base):
    """A threshold and when it was chosen; `point` is None where too few patients were there.

    `kind` is `` for the common model, `local.` for the hospital's own.
    """

    __tablename__ = "operating_point"

    study: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    point: Mapped[str | None]
    round: Mapped[int]
    model_sha256: Mapped[str]
    at: Mapped[str]


def points_of(session: Session, study: str) -> list[PointRow]:
    """What is frozen for a study."""
    query = select(PointRow).where(PointRow.study == study)
    return list(session.scalars(query.order_by(PointRow.kind)).all())


def keep_point(session: Session, row: PointRow) -> bool:
    """Keep a threshold; False when one is frozen already, which stays."""
    if session.get(PointRow, (row.study, row.kind)) is not None:
        return False
    session.add(row)
    return True
