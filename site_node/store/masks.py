"""The table of masks: which row of the mask shards belongs to a sample, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import JSON, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class MaskRow(Base):
    """What the segmentations of one sample came to; `key` names the sample and them, keyed.

    `row` is where the mask lies, `classes` which classes have a voxel in it (0 or 1 each);
    `reason` says instead why there is no mask.
    """

    __tablename__ = "masks"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    row: Mapped[int | None]
    classes: Mapped[list[int]] = mapped_column(JSON)
    reason: Mapped[str | None]


def masks_by_key(session: Session, dataset: str, recipe: str) -> dict[str, MaskRow]:
    """Every mask of a dataset under a recipe."""
    query = select(MaskRow).where(MaskRow.dataset == dataset, MaskRow.recipe == recipe)
    return {row.key: row for row in session.scalars(query)}


def add_masks(session: Session, rows: Iterable[MaskRow]) -> None:
    """Keep where masks lie; the caller's transaction carries them."""
    session.add_all(rows)
