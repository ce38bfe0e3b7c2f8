"""The table of objects: every file an import ever looked at, by content, with its one outcome.

No original identifier stands in any column: patient, study, series, instance and accession number
are keyed hashes, everything else is a closed word or a number.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import JSON, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base

HELD = "held"
QUARANTINED = "quarantined"


class ObjectRow(Base):
    """One file's content under one dataset and one import recipe."""

    __tablename__ = "objects"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    recipe: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str | None]
    pixels: Mapped[str | None]
    patient: Mapped[str | None]
    patient_key: Mapped[str | None] = mapped_column(index=True)
    study_key: Mapped[str | None]
    series_key: Mapped[str | None]
    instance_key: Mapped[str | None]
    accession_key: Mapped[str | None]
    facts: Mapped[dict[str, str]] = mapped_column(JSON)
    findings: Mapped[list[str]] = mapped_column(JSON)
    label: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))
    label_reason: Mapped[str | None]
    given_split: Mapped[str | None]


def rows_of(session: Session, dataset: str, recipe: str) -> list[ObjectRow]:
    """Every object of a dataset under a recipe, in the order of their hashes."""
    query = select(ObjectRow).where(ObjectRow.dataset == dataset, ObjectRow.recipe == recipe)
    return list(session.scalars(query.order_by(ObjectRow.sha256)).all())


def labelled(session: Session, dataset: str) -> list[ObjectRow]:
    """Every object of a dataset that is held and has its label and its patient, by hash."""
    query = select(ObjectRow).where(ObjectRow.dataset == dataset, ObjectRow.outcome == HELD)
    query = query.where(ObjectRow.label.is_not(None), ObjectRow.patient.is_not(None))
    return list(session.scalars(query.order_by(ObjectRow.sha256)).all())


def known_hashes(session: Session, dataset: str, recipe: str) -> set[str]:
    """Content hashes that already have their outcome."""
    query = select(ObjectRow.sha256)
    query = query.where(ObjectRow.dataset == dataset, ObjectRow.recipe == recipe)
    return set(session.scalars(query).all())


def add_objects(session: Session, rows: Iterable[ObjectRow]) -> None:
    """Keep outcomes; the caller's transaction carries them."""
    session.add_all(rows)


def put_out(session: Session, dataset: str, recipe: str, hashes: list[str], reason: str) -> None:
    """Move objects that were held into quarantine, because a later one contradicts them."""
    for sha256 in hashes:
        session.execute(
            update(ObjectRow)
            .where(
                ObjectRow.dataset == dataset,
                ObjectRow.recipe == recipe,
                ObjectRow.sha256 == sha256,
            )
            .values(outcome=QUARANTINED, reason=reason)
        )


def quarantined(session: Session, dataset: str | None = None) -> list[tuple[str, str, str]]:
    """Dataset, reason and content hash of each object in quarantine, by reason then hash."""
    reason = func.coalesce(ObjectRow.reason, ObjectRow.label_reason)
    query = select(ObjectRow.dataset, reason, ObjectRow.sha256).where(reason.is_not(None))
    if dataset is not None:
        query = query.where(ObjectRow.dataset == dataset)
    found = session.execute(query.order_by(ObjectRow.dataset, reason, ObjectRow.sha256)).all()
    return [(row[0], row[1], row[2]) for row in found]


def held_and_out(session: Session, hashes: set[str]) -> tuple[set[str], set[str]]:
    """Of these contents, those that some dataset holds, and those that are only in quarantine."""
    query = select(ObjectRow.sha256, ObjectRow.outcome)
    query = query.where(ObjectRow.outcome.in_((HELD, QUARANTINED)))
    found = [row for row in session.execute(query).all() if row[0] in hashes]
    held = {sha256 for sha256, outcome in found if outcome == HELD}
    return held, {sha256 for sha256, _ in found} - held


def in_quarantine(session: Session, prefix: str, dataset: str | None) -> list[ObjectRow]:
    """Outcomes in quarantine whose content hash begins so."""
    query = select(ObjectRow).where(
        ObjectRow.outcome == QUARANTINED, ObjectRow.sha256.startswith(prefix, autoescape=True)
    )
    if dataset is not None:
        query = query.where(ObjectRow.dataset == dataset)
    return list(session.scalars(query.order_by(ObjectRow.sha256, ObjectRow.dataset)).all())


def forget_outcome(session: Session, row: ObjectRow) -> None:
    """Take an outcome back, so that the next import looks at the file again."""
    session.execute(
        delete(ObjectRow).where(
            ObjectRow.dataset == row.dataset,
            ObjectRow.recipe == row.recipe,
            ObjectRow.sha256 == row.sha256,
        )
    )
