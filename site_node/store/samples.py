"""The table of samples: which row of the shards holds which frame of which object."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class SampleRow(Base):
    """One image of a curated dataset."""

    __tablename__ = "samples"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    frame: Mapped[int] = mapped_column(primary_key=True)
    row: Mapped[int]


def add_samples(session: Session, rows: Iterable[SampleRow]) -> None:
    """Keep where frames lie; the caller's transaction carries them."""
    session.add_all(rows)


def rows_by_object(session: Session, dataset: str, recipe: str) -> dict[str, list[int]]:
    """Shard rows of each object, in the order of its frames."""
    query = select(SampleRow.sha256, SampleRow.row)
    query = query.where(SampleRow.dataset == dataset, SampleRow.recipe == recipe)
    found: dict[str, list[int]] = {}
    for sha256, row in session.execute(query.order_by(SampleRow.sha256, SampleRow.frame)):
        found.setdefault(sha256, []).append(row)
    return found
