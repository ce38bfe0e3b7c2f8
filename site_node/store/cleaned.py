"""The table of what was done to headers: for each object that is held, its sum of actions by name.

Slices of a series share one sum, so a hospital of a million objects keeps a few thousand of them.
Tags, words and counts; no value of a header.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import JSON, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class ActionsRow(Base):
    """What was done to a header, under the hash of itself."""

    __tablename__ = "actions"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    told: Mapped[dict[str, Any]] = mapped_column(JSON)


class CleanedRow(Base):
    """Which sum belongs to one object of a dataset."""

    __tablename__ = "cleaned"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    actions: Mapped[str]


def add_cleaned(
    session: Session,
    dataset: str,
    recipe: str,
    names: Mapping[str, str],
    sums: Mapping[str, Mapping[str, Any]],
) -> None:
    """Keep what was done to objects; the caller's transaction carries it.

    Args:
        session: of the caller.
        dataset: its name.
        recipe: under which they were examined.
        names: the hash of what was done, by content hash.
        sums: what was done, by its hash; at least of those.
    """
    if not names:
        return
    rows = [{"sha256": name, "told": sums[name]} for name in sorted(set(names.values()))]
    session.execute(insert(ActionsRow).on_conflict_do_nothing(), rows)
    objects = [
        {"dataset": dataset, "recipe": recipe, "sha256": sha256, "actions": name}
        for sha256, name in names.items()
    ]
    session.execute(insert(CleanedRow).prefix_with("OR REPLACE"), objects)


def actions_of(
    session: Session, dataset: str, recipe: str, hashes: Iterable[str]
) -> list[tuple[dict[str, Any], int]]:
    """What was done to these objects: each sum with the number of objects that came to it."""
    query = select(CleanedRow.sha256, CleanedRow.actions)
    query = query.where(CleanedRow.dataset == dataset, CleanedRow.recipe == recipe)
    names = {row[0]: row[1] for row in session.execute(query)}
    counts = Counter(names[sha256] for sha256 in hashes)
    found = session.execute(select(ActionsRow.sha256, ActionsRow.told))
    return [(told, counts[name]) for name, told in found if name in counts]
