"""The table of places: where the frames of an object lie in the patient, or what it was drawn on.

Numbers, closed words and keyed stand-ins of UIDs; no value of a header that names anybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import JSON, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class GeometryRow(Base):
    """What is known of the place of one object.

    `told` is `space` (keyed) with either `planes`, one per frame; or `frames`, `rows`, `columns`
    and `pixel` of an image without a place; or `images` (keyed) and `classes` of a segmentation.
    """

    __tablename__ = "geometry"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    told: Mapped[dict[str, Any]] = mapped_column(JSON)


def add_geometry(
    session: Session, dataset: str, recipe: str, told: Mapping[str, dict[str, Any]]
) -> None:
    """Keep places by content hash; the caller's transaction carries them."""
    for sha256, place in told.items():
        session.merge(GeometryRow(dataset=dataset, recipe=recipe, sha256=sha256, told=place))


def geometry_of(session: Session, dataset: str, recipe: str) -> dict[str, dict[str, Any]]:
    """The place of every object of a dataset under a recipe, by content hash."""
    query = select(GeometryRow.sha256, GeometryRow.told)
    query = query.where(GeometryRow.dataset == dataset, GeometryRow.recipe == recipe)
    return {row[0]: row[1] for row in session.execute(query)}
