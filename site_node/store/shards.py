"""The table of shard families: how many rows of a dataset's arrays are committed."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class ShardRow(Base):
    """One family of array files: same shape, same type, append-only."""

    __tablename__ = "shards"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    family: Mapped[int]
    rows: Mapped[int]


def family_of(session: Session, dataset: str, recipe: str) -> ShardRow:
    """The family of a dataset under a recipe, made with no row when there is none."""
    found = session.get(ShardRow, (dataset, recipe))
    if found is None:
        count = select(func.count()).select_from(ShardRow).where(ShardRow.dataset == dataset)
        family = int(session.scalar(count) or 0)
        found = ShardRow(dataset=dataset, recipe=recipe, family=family, rows=0)
        session.add(found)
    return found
