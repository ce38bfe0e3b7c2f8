"""The table of dataset versions: what each one holds, and which one is the newest."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class VersionRow(Base):
    """One version of a curated dataset; `summary` holds exact counts and never leaves."""

    __tablename__ = "versions"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int]
    folder: Mapped[str]
    summary: Mapped[dict[str, Any]] = mapped_column(JSON)


def newest(session: Session, dataset: str) -> VersionRow | None:
    """The newest version of a dataset."""
    query = select(VersionRow).where(VersionRow.dataset == dataset)
    return session.scalars(query.order_by(VersionRow.number.desc()).limit(1)).first()


def find_version(session: Session, dataset: str, version: str) -> VersionRow | None:
    """One version of a dataset, old or new."""
    return session.get(VersionRow, (dataset, version))


def dataset_names(session: Session) -> list[str]:
    """Every dataset that has a version."""
    return list(session.scalars(select(VersionRow.dataset).distinct().order_by("dataset")).all())


def make_newest(session: Session, row: VersionRow) -> None:
    """Keep a version as the newest; one that was here before comes to the front again."""
    last = session.scalar(
        select(func.max(VersionRow.number)).where(VersionRow.dataset == row.dataset)
    )
    row.number = int(last or 0) + 1
    session.merge(row)
