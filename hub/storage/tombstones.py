"""The table of tombstones: what stays of a study whose records were destroyed, and of a first yes.

The destruction of a study's rows is written here too, because it passes every table that knows a
study. The guards of the log are put aside for it and back again in the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import ColumnElement, Table, Text, delete, or_, select
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Mapped, Session, mapped_column

from compliance.errors import NotReady
from hub.storage import intents, ledger, motions, sealed, studies
from hub.storage.database import Base

GUARDED = (ledger.EntryRow, ledger.NodeRow)
BY_STUDY = (
    ledger.CosignatureRow,
    ledger.CheckpointRow,
    ledger.LogRow,
    studies.ModelRow,
    studies.RunRow,
)

TOUCHED = ("log_entry", "log_node", "log_checkpoint", "log_cosignature", "sealed_payload",
           "charter_draft", "charter_signature", "charter_refusal", "intent", "motion")  # fmt: skip
"""Tables of which the database is asked to let old copies go afterwards."""


class TombstoneRow(Base):
    """A study that one administrator would destroy, or that two destroyed.

    `size` and `root` are those of its log; `swept_at` says when the files were gone too.
    """

    __tablename__ = "tombstone"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    charter_id: Mapped[str] = mapped_column(Text)
    size: Mapped[int]
    root: Mapped[str] = mapped_column(Text)
    prepared_by: Mapped[int]
    prepared_at: Mapped[str] = mapped_column(Text)
    confirmed_by: Mapped[int | None]
    destroyed_at: Mapped[str | None] = mapped_column(Text)
    swept_at: Mapped[str | None] = mapped_column(Text)


def find_tombstone(session: Session, study: str) -> TombstoneRow | None:
    """The tombstone of a study, or the first yes to its destruction."""
    return session.get(TombstoneRow, study)


def all_tombstones(session: Session) -> list[TombstoneRow]:
    """Every tombstone and every first yes, by study."""
    return list(session.scalars(select(TombstoneRow).order_by(TombstoneRow.study)))


def keep_tombstone(session: Session, row: TombstoneRow) -> None:
    """Keep a first yes; a newer one takes its place."""
    session.merge(row)
    session.flush()


def destroy_rows(session: Session, study: str, acts: tuple[str, ...]) -> None:
    """Delete every row of a study, in the caller's transaction.

    Args:
        session: the transaction; another study's rows are not touched.
        study: its id.
        acts: names of the acts by which this is done; their intents stay until they are answered.

    Raises:
        NotReady: the database role may not put the guards aside.
    """
    with _guards_aside(session):
        for table in GUARDED:
            session.execute(delete(table).where(table.study == study))
    for plain in BY_STUDY:
        session.execute(delete(plain).where(plain.study == study))
    session.execute(delete(sealed.SealedRow).where(sealed.SealedRow.log == study))
    _motions(session, study)
    names = _drafts(session, study)
    _words(session, (study, *names), acts)


def _motions(session: Session, study: str) -> None:
    mine = select(motions.MotionRow.motion).where(motions.MotionRow.log == study)
    lines = motions.MotionSignatureRow
    session.execute(delete(lines).where(lines.motion.in_(mine)))
    session.execute(delete(motions.MotionRow).where(motions.MotionRow.log == study))


def _drafts(session: Session, study: str) -> list[str]:
    query = select(studies.CharterRow.charter_id).where(studies.CharterRow.study == study)
    names = list(session.scalars(query))
    for table in (studies.SignatureRow, studies.RefusalRow, studies.CharterRow):
        session.execute(delete(table).where(table.charter_id.in_(names)))
    return names


def _words(session: Session, names: tuple[str, ...], acts: tuple[str, ...]) -> None:
    """Intents hold what was typed and what came of it; tickets name files."""
    row, ticket = intents.IntentRow, intents.TicketRow
    told: list[ColumnElement[bool]] = [row.object.in_(names)]
    told += [text.contains(name) for name in names for text in (row.body, row.result)]
    session.execute(delete(row).where(or_(*told), row.action.not_in(acts)))
    session.execute(delete(ticket).where(or_(*(ticket.path.contains(name) for name in names))))


@contextmanager
def _guards_aside(session: Session) -> Iterator[None]:
    """Let rows of the log be deleted until the block ends; other transactions never see it so."""
    dialect = session.get_bind().dialect.name
    connection = session.connection()
    tables = [cast(Table, table.__table__).name for table in GUARDED]
    try:
        for table in tables:
            for statement in _off(table, dialect):
                connection.exec_driver_sql(statement)
    except ProgrammingError as error:
        raise NotReady(
            "the database role of the hub does not own the tables of the log.",
            "Let the owner of the tables run the hub's database_url for this act; see the guide.",
        ) from error
    yield
    for table in tables:
        for statement in _on(table, dialect):
            connection.exec_driver_sql(statement)


def _off(table: str, dialect: str) -> list[str]:
    if dialect == "sqlite":
        return [f"DROP TRIGGER {table}_no_{verb}" for verb in ("update", "delete")]
    return [f"ALTER TABLE {table} DISABLE TRIGGER {table}_guard"]


def _on(table: str, dialect: str) -> list[str]:
    if dialect == "sqlite":
        return ledger.guards(table, dialect)
    return [f"ALTER TABLE {table} ENABLE TRIGGER {table}_guard"]
