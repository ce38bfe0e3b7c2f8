"""The tables of the privacy account: who is in it, and every charge; rows are added, never changed.

A charge is a reservation and, later, one row that settles it: spent, or void because nothing left.
Patients stand here as hashes of their pseudonyms, so that a dataset under another name is found to
hold the same people.

Source: design/federation.md §8.2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import UniqueConstraint, func, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from site_node.store.database import Base
from site_node.store.journal import never_changed

RESERVED, SPENT, VOID = "reserved", "spent", "void"
AT_ONCE = 10_000


class AccountRow(Base):
    """A version of a dataset that trained with noise: its training patients, the delta for them."""

    __tablename__ = "privacy_account"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    dataset_version: Mapped[str] = mapped_column(primary_key=True)
    patients: Mapped[int]
    delta: Mapped[str]
    at: Mapped[str]


class MemberRow(Base):
    """A patient who was ever in the training part of a dataset."""

    __tablename__ = "privacy_patient"

    dataset: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str] = mapped_column(primary_key=True, index=True)


class ChargeRow(Base):
    """One line of the account; `settles` is 0 for a reservation and 1 for what became of it.

    `eps_study` and `eps_total` are what the study and all studies have cost with this charge.
    """

    __tablename__ = "privacy_charge"
    __table_args__ = (UniqueConstraint("charge", "settles"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    charge: Mapped[str] = mapped_column(index=True)
    settles: Mapped[int]
    account: Mapped[str] = mapped_column(index=True)
    dataset_version: Mapped[str]
    log: Mapped[str]
    round: Mapped[int]
    base_sha256: Mapped[str]
    sigma: Mapped[str]
    clip: Mapped[str]
    sample_rate: Mapped[str]
    steps: Mapped[int]
    state: Mapped[str]
    eps_study: Mapped[str]
    eps_total: Mapped[str]
    at: Mapped[str]

    def plain(self) -> dict[str, str | int]:
        """For people and machines."""
        names = ("account", "dataset_version", "log", "round", "base_sha256", "sigma", "clip",
                 "sample_rate", "steps", "state", "eps_study", "eps_total", "at")  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def settled(self, state: str, at: str, **changed: str | int) -> ChargeRow:
        """The row that says what became of this reservation."""
        names = [column.name for column in self.__table__.columns if column.name != "id"]
        told = {name: getattr(self, name) for name in names}
        return ChargeRow(**(told | {"state": state, "settles": 1, "at": at} | changed))


for row in (AccountRow, MemberRow, ChargeRow):
    never_changed(row.__table__)


def enter(session: Session, row: AccountRow, patients: Iterable[str]) -> None:
    """Put a version of a dataset and its patients into the account; a second time does nothing."""
    values = {column.name: getattr(row, column.name) for column in AccountRow.__table__.columns}
    session.execute(insert(AccountRow).on_conflict_do_nothing(), values)
    rows = [{"dataset": row.dataset, "patient": patient} for patient in patients]
    for start in range(0, len(rows), AT_ONCE):
        session.execute(insert(MemberRow).on_conflict_do_nothing(), rows[start : start + AT_ONCE])


def knows(session: Session, dataset: str, dataset_version: str) -> bool:
    """Whether this version is in the account already."""
    return session.get(AccountRow, (dataset, dataset_version)) is not None


def accounts(session: Session) -> list[AccountRow]:
    """Every version that trained with noise, in the order of datasets and time."""
    return list(session.scalars(select(AccountRow).order_by(AccountRow.dataset, AccountRow.at)))


def group_of(session: Session, dataset: str, patients: Sequence[str] = ()) -> list[str]:
    """Datasets that share a patient with this one, directly or through others; itself included.

    Args:
        session: of the site's database.
        dataset: its name.
        patients: some who are not entered yet.
    """
    fresh = [dataset, *_of_patients(session, patients)]
    found = set(fresh)
    mine, theirs = aliased(MemberRow), aliased(MemberRow)
    while fresh:
        query = select(theirs.dataset).distinct().join(mine, mine.patient == theirs.patient)
        query = query.where(mine.dataset.in_(fresh), theirs.dataset.not_in(sorted(found)))
        fresh = list(session.scalars(query))
        found |= set(fresh)
    return sorted(found)


def _of_patients(session: Session, patients: Sequence[str]) -> list[str]:
    found: set[str] = set()
    for start in range(0, len(patients), AT_ONCE):
        some = patients[start : start + AT_ONCE]
        query = select(MemberRow.dataset).distinct().where(MemberRow.patient.in_(some))
        found |= set(session.scalars(query))
    return sorted(found)


def people_in(session: Session, datasets: Sequence[str]) -> int:
    """How many different patients a group of datasets holds."""
    query = select(func.count(func.distinct(MemberRow.patient)))
    return int(session.scalar(query.where(MemberRow.dataset.in_(datasets))) or 0)


def charges(session: Session, datasets: Sequence[str] | None = None) -> list[ChargeRow]:
    """Every charge as it stands now, oldest first: settled, or still reserved."""
    query = select(ChargeRow).order_by(ChargeRow.id)
    if datasets is not None:
        query = query.where(ChargeRow.account.in_(datasets))
    newest = {row.charge: row for row in session.scalars(query)}
    return list(newest.values())


def find_charge(session: Session, charge: str) -> ChargeRow | None:
    """A charge as it stands now."""
    query = select(ChargeRow).where(ChargeRow.charge == charge).order_by(ChargeRow.settles.desc())
    return session.scalars(query).first()


def lock(session: Session) -> None:
    """Let nobody else write until the end of the transaction."""
    session.connection().exec_driver_sql("BEGIN IMMEDIATE")


def newest(session: Session) -> tuple[int, int]:
    """The newest line and the number of patients: whoever finds both unchanged missed nothing."""
    last = session.scalar(select(func.max(ChargeRow.id))) or 0
    return int(last), int(session.scalar(select(func.count()).select_from(MemberRow)) or 0)


def add(session: Session, row: ChargeRow) -> None:
    """Write one line; the caller's transaction carries it."""
    session.add(row)
    session.flush()
