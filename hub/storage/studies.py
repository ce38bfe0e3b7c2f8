"""Tables of studies: charters, signatures, refusals, data sets, recipes, models, runs."""

from __future__ import annotations

from sqlalchemy import LargeBinary, Text, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.storage.database import Base


class CharterRow(Base):
    """A proposed charter; its text never changes. `launched` is an index, the log is the truth."""

    __tablename__ = "charter_draft"
    charter_id: Mapped[str] = mapped_column(Text, primary_key=True)
    study: Mapped[str] = mapped_column(Text, unique=True)
    text: Mapped[bytes] = mapped_column(LargeBinary)
    researcher_line: Mapped[str] = mapped_column(Text)
    proposer: Mapped[int]
    created: Mapped[str] = mapped_column(Text)
    launched: Mapped[str | None] = mapped_column(Text)


class SignatureRow(Base):
    """One hospital's signature line under one charter."""

    __tablename__ = "charter_signature"
    charter_id: Mapped[str] = mapped_column(Text, primary_key=True)
    key_name: Mapped[str] = mapped_column(Text, primary_key=True)
    line: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)


class RefusalRow(Base):
    """One hospital's signed refusal, with its reason from the closed list."""

    __tablename__ = "charter_refusal"
    charter_id: Mapped[str] = mapped_column(Text, primary_key=True)
    site: Mapped[str] = mapped_column(Text, primary_key=True)
    note: Mapped[bytes] = mapped_column(LargeBinary)
    reason: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)


class DatasetRow(Base):
    """A data set as its hospital registered it; the description follows, checked by its hash."""

    __tablename__ = "dataset"
    site: Mapped[str] = mapped_column(Text, primary_key=True)
    dataset: Mapped[str] = mapped_column(Text, primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    note: Mapped[bytes] = mapped_column(LargeBinary)
    registered: Mapped[str] = mapped_column(Text)
    description: Mapped[bytes | None] = mapped_column(LargeBinary)


class RecipeRow(Base):
    """A recipe document by its hash."""

    __tablename__ = "recipe"
    sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)


class ModelRow(Base):
    """A model in the registry; the file lies beside, named by its hash."""

    __tablename__ = "model"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    model_sha256: Mapped[str] = mapped_column(Text, primary_key=True)
    kind: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int]
    created: Mapped[str] = mapped_column(Text)


class RunRow(Base):
    """The Flower run of a study and the lease of the ServerApp that may write."""

    __tablename__ = "study_run"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    run_id: Mapped[str | None] = mapped_column(Text)
    started: Mapped[str | None] = mapped_column(Text)
    token: Mapped[int] = mapped_column(default=0)
    beat: Mapped[str | None] = mapped_column(Text)


def find_charter(session: Session, charter_id: str) -> CharterRow | None:
    """A charter by its id."""
    return session.get(CharterRow, charter_id)


def charter_of_study(session: Session, study: str) -> CharterRow | None:
    """A charter by its study."""
    return session.scalar(select(CharterRow).where(CharterRow.study == study))


def all_charters(session: Session) -> list[CharterRow]:
    """Every proposed charter, newest first."""
    query = select(CharterRow).order_by(CharterRow.created.desc(), CharterRow.study)
    return list(session.scalars(query))


def keep(session: Session, row: Base) -> None:
    """Add a row, or replace the one with the same key."""
    session.merge(row)
    session.flush()


def signatures(session: Session, charter_id: str) -> list[SignatureRow]:
    """The hospitals' signature lines of a charter."""
    query = select(SignatureRow).where(SignatureRow.charter_id == charter_id)
    return list(session.scalars(query.order_by(SignatureRow.key_name)))


def drop_signature(session: Session, charter_id: str, key_name: str) -> None:
    """Take back a hospital's signature line before the launch."""
    row = session.get(SignatureRow, (charter_id, key_name))
    if row is not None:
        session.delete(row)
        session.flush()


def refusals(session: Session, charter_id: str) -> list[RefusalRow]:
    """The hospitals that refused a charter."""
    query = select(RefusalRow).where(RefusalRow.charter_id == charter_id)
    return list(session.scalars(query.order_by(RefusalRow.site)))


def find_dataset(session: Session, site: str, dataset: str, version: str) -> DatasetRow | None:
    """One version of one data set."""
    return session.get(DatasetRow, (site, dataset, version))


def newest_datasets(session: Session) -> list[DatasetRow]:
    """The newest registered version of every data set."""
    rows = session.scalars(select(DatasetRow).order_by(DatasetRow.registered))
    newest = {(row.site, row.dataset): row for row in rows}
    return [newest[key] for key in sorted(newest)]


def find_recipe(session: Session, sha256: str) -> RecipeRow | None:
    """A recipe by its hash."""
    return session.get(RecipeRow, sha256)


def all_recipes(session: Session) -> list[RecipeRow]:
    """Every recipe that was stored."""
    return list(session.scalars(select(RecipeRow).order_by(RecipeRow.sha256)))


def models_of(session: Session, study: str) -> list[ModelRow]:
    """The models of a study, in the order in which they came."""
    query = select(ModelRow).where(ModelRow.study == study)
    return list(session.scalars(query.order_by(ModelRow.created)))


def find_model(session: Session, study: str, model_sha256: str) -> ModelRow | None:
    """One model of a study."""
    return session.get(ModelRow, (study, model_sha256))


def run_of(session: Session, study: str) -> RunRow | None:
    """The run of a study."""
    return session.get(RunRow, study)
