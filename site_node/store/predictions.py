"""The tables of predictions: counts by day, what was counted already, and what is compared.

No table names a patient, a file or an instance: what was counted is known by a keyed stand-in.
`model` is the model's hash, `+` and the hash of the own layers where some completed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store.database import Base


class PredictionRow(Base):
    """How many images of a day a model put into one class."""

    __tablename__ = "prediction"

    model: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int]


class PredictionLightRow(Base):
    """How bright the images of a day were: summed shares of 16 bins, in millionths, as JSON."""

    __tablename__ = "prediction_light"

    model: Mapped[str] = mapped_column(primary_key=True)
    day: Mapped[str] = mapped_column(primary_key=True)
    images: Mapped[int]
    bins: Mapped[str]


class PredictionDoneRow(Base):
    """An image that was counted for a model, by a keyed stand-in, and when."""

    __tablename__ = "prediction_done"

    key: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[str]


class PredictionReferenceRow(Base):
    """What predictions are compared with: the dataset's registered version, and the threshold.

    `labels` and `bins` are JSON; `points` is the frozen threshold by class, `{}` without one.
    """

    __tablename__ = "prediction_reference"

    model: Mapped[str] = mapped_column(primary_key=True)
    study: Mapped[str]
    dataset: Mapped[str]
    version: Mapped[str]
    images: Mapped[int]
    labels: Mapped[str]
    bins: Mapped[str]
    points: Mapped[str]


class LeakTestRow(Base):
    """The document of a membership test, by model and version of the dataset."""

    __tablename__ = "leak_test"

    model: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    document: Mapped[bytes]


def done_at(session: Session, key: str) -> str | None:
    """When an image was counted for a model; None when it was not."""
    row = session.get(PredictionDoneRow, key)
    return row.at if row else None


def count(
    session: Session, model: str, day: str, key: str, at: str, outcomes: Iterable[str]
) -> None:
    """Count one image; the caller's transaction carries it."""
    session.add(PredictionDoneRow(key=key, at=at))
    for outcome in outcomes:
        row = session.get(PredictionRow, (model, day, outcome))
        if row is None:
            session.add(PredictionRow(model=model, day=day, outcome=outcome, n=1))
        else:
            row.n += 1
    session.flush()


def add_light(session: Session, model: str, day: str, shares: Sequence[int]) -> None:
    """Add the brightness of one image, shares of 16 bins in millionths."""
    row = session.get(PredictionLightRow, (model, day))
    if row is None:
        row = PredictionLightRow(model=model, day=day, images=0, bins=json.dumps([0] * len(shares)))
        session.add(row)
    row.images += 1
    row.bins = json.dumps([a + b for a, b in zip(json.loads(row.bins), shares, strict=True)])
    session.flush()


def counts_since(session: Session, day: str) -> list[PredictionRow]:
    """Counts of every model from a day on, in order."""
    query = select(PredictionRow).where(PredictionRow.day >= day)
    order = (PredictionRow.model, PredictionRow.day, PredictionRow.outcome)
    return list(session.scalars(query.order_by(*order)))


def light_since(session: Session, day: str) -> list[PredictionLightRow]:
    """Brightness of every model from a day on."""
    return list(session.scalars(select(PredictionLightRow).where(PredictionLightRow.day >= day)))


def references(session: Session) -> list[PredictionReferenceRow]:
    """What each model's predictions are compared with."""
    query = select(PredictionReferenceRow).order_by(PredictionReferenceRow.model)
    return list(session.scalars(query))


def find_reference(session: Session, model: str) -> PredictionReferenceRow | None:
    """What a model's predictions are compared with."""
    return session.get(PredictionReferenceRow, model)


def keep_reference(session: Session, row: PredictionReferenceRow) -> None:
    """Keep it once: a frozen threshold does not move."""
    if session.get(PredictionReferenceRow, row.model) is None:
        session.add(row)


def find_leak_test(session: Session, model: str, version: str) -> bytes | None:
    """The membership test of a model with a version of the dataset."""
    row = session.get(LeakTestRow, (model, version))
    return row.document if row else None


def keep_leak_test(session: Session, model: str, version: str, document: bytes) -> None:
    """Keep a membership test; a later one takes its place."""
    session.merge(LeakTestRow(model=model, version=version, document=document))
