"""The table of objects: every file an import ever looked at, by content, with its one outcome.

No original identifier stands in any column: patient, study, series, instance and accession number
are keyed hashes, everything else is a closed word or a number.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any, TypeAlias

from sqlalchemy import JSON, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base

HELD = "held"
QUARANTINED = "quarantined"
SEGMENTATION = "segmentation"
"""A DICOM Segmentation: no image, a mask of other objects."""

SKIPPED_BECAUSE = ("duplicate_image", "series_incomplete")
"""Labelling reasons that are no quarantine: the volume is there already, or not whole yet."""

Alike: TypeAlias = tuple[str, Mapping[str, str], list[int], int]
"""Patient, facts, label, and how many images of this patient share them."""


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

    @property
    def stays_out(self) -> str | None:
        """Why it is in no sample, although it was read; None when nothing speaks against it."""
        return self.reason or self.label_reason


@dataclass(slots=True)
class NewObject:
    """An outcome on its way to the table: a plain value, because there may be a million."""

    dataset: str
    recipe: str
    sha256: str
    outcome: str
    reason: str | None = None
    pixels: str | None = None
    patient: str | None = None
    patient_key: str | None = None
    study_key: str | None = None
    series_key: str | None = None
    instance_key: str | None = None
    accession_key: str | None = None
    facts: dict[str, str] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    label: list[int] | None = None
    label_reason: str | None = None
    given_split: str | None = None


AS_JSON = ("facts", "findings", "label")
PLAIN_NAMES = tuple(one.name for one in fields(NewObject) if one.name not in AS_JSON)
PLAIN = attrgetter(*PLAIN_NAMES)
NAMES = (*PLAIN_NAMES, *AS_JSON)
INSERT = f"INSERT INTO objects ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))})"  # noqa: S608 - our own names


def rows_of(session: Session, dataset: str, recipe: str) -> list[ObjectRow]:
    """Every object of a dataset under a recipe, in the order of their hashes."""
    query = select(ObjectRow).where(ObjectRow.dataset == dataset, ObjectRow.recipe == recipe)
    return list(session.scalars(query.order_by(ObjectRow.sha256)).all())


def judged(session: Session, dataset: str, recipe: str) -> Iterator[Any]:
    """What the next object is judged by."""
    query = select(
        ObjectRow.sha256, ObjectRow.outcome, ObjectRow.reason, ObjectRow.facts,
        ObjectRow.patient, ObjectRow.pixels, ObjectRow.instance_key,
    )  # fmt: skip
    query = query.where(ObjectRow.dataset == dataset, ObjectRow.recipe == recipe)
    query = query.order_by(ObjectRow.sha256).execution_options(yield_per=1000)
    yield from session.execute(query)


def alike(session: Session, dataset: str) -> Iterator[Alike]:
    """Objects of a dataset that are held and have their label and their patient, put together."""
    query = select(ObjectRow.patient, ObjectRow.facts, ObjectRow.label, func.count())
    query = query.where(ObjectRow.dataset == dataset, ObjectRow.outcome == HELD)
    query = query.where(ObjectRow.label.is_not(None), ObjectRow.patient.is_not(None))
    query = query.where(ObjectRow.label_reason.is_(None))
    query = query.group_by(ObjectRow.patient, ObjectRow.facts, ObjectRow.label)
    for patient, facts, label, count in session.execute(query.execution_options(yield_per=1000)):
        yield str(patient), facts, label or [], int(count)


def held_otherwise(session: Session, dataset: str, recipe: str) -> set[str]:
    """Content hashes that a dataset holds under another recipe only."""
    query = select(ObjectRow.sha256).where(ObjectRow.dataset == dataset)
    other = query.where(ObjectRow.recipe != recipe, ObjectRow.outcome == HELD)
    return set(session.scalars(other).all()) - known_hashes(session, dataset, recipe)


def known_hashes(session: Session, dataset: str, recipe: str) -> set[str]:
    """Content hashes that already have their outcome."""
    query = select(ObjectRow.sha256)
    query = query.where(ObjectRow.dataset == dataset, ObjectRow.recipe == recipe)
    return set(session.scalars(query).all())


def add_objects(session: Session, rows: Iterable[NewObject]) -> None:
    """Keep outcomes; the caller's transaction carries them."""
    kept = [(*PLAIN(row), _object(tuple(row.facts.items())), _array(tuple(row.findings)),
             None if row.label is None else _array(tuple(row.label))) for row in rows]  # fmt: skip
    if kept:
        session.connection().exec_driver_sql(INSERT, kept)


@lru_cache(maxsize=1 << 12)
def _object(items: tuple[tuple[str, str], ...]) -> str:
    return json.dumps(dict(items))


@lru_cache(maxsize=1 << 12)
def _array(items: tuple[Any, ...]) -> str:
    return json.dumps(list(items))


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
    query = query.where(reason.not_in(SKIPPED_BECAUSE))
    if dataset is not None:
        query = query.where(ObjectRow.dataset == dataset)
    found = session.execute(query.order_by(ObjectRow.dataset, reason, ObjectRow.sha256)).all()
    return [(row[0], row[1], row[2]) for row in found]


def held_and_out(session: Session, hashes: set[str]) -> tuple[set[str], set[str]]:
    """Of these contents, those that some dataset holds, and those that are only in quarantine."""
    query = select(ObjectRow.sha256, ObjectRow.outcome)
    query = query.where(ObjectRow.outcome.in_((HELD, SEGMENTATION, QUARANTINED)))
    found = [row for row in session.execute(query).all() if row[0] in hashes]
    held = {sha256 for sha256, outcome in found if outcome != QUARANTINED}
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


def forget_dataset(session: Session, dataset: str) -> None:
    """Take back every outcome of a dataset whose source is always told as a whole."""
    session.execute(delete(ObjectRow).where(ObjectRow.dataset == dataset))
