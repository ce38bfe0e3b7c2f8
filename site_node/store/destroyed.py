"""The table of studies whose copy was destroyed here, and how the rows of a study are deleted.

A row stays so that the next look at the hub does not bring the copy back.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from site_node.store import controls, locals, mirror, outbox, points, replies, studies
from site_node.store.database import Base
from site_node.store.journal import Sessions, guards

GUARDED = (mirror.MirrorEvidence, mirror.MirrorAlarm, mirror.MirrorEntry)
PLAIN: tuple[Any, ...] = (
    controls.ControlRow,
    locals.LocalRow,
    mirror.MirrorQuorum,
    mirror.MirrorLog,
    outbox.OutboxRow,
    points.PointRow,
    replies.ReplyRow,
    studies.StudyDecision,
)


class DestroyedRow(Base):
    """A study whose copy is gone: its charter, and size and root of its log as mirrored."""

    __tablename__ = "destroyed_study"

    study: Mapped[str] = mapped_column(primary_key=True)
    charter_id: Mapped[str]
    size: Mapped[int]
    root: Mapped[bytes]
    at: Mapped[str]


def find_destroyed(session: Session, study: str) -> DestroyedRow | None:
    """What stays of a study that was destroyed here, or None."""
    return session.get(DestroyedRow, study)


def update_hashes(session: Session, study: str) -> list[str]:
    """Hashes of the updates that are kept for this study and for no other."""
    row = replies.ReplyRow
    others = select(row.update_sha256).where(row.study != study, row.update_sha256.is_not(None))
    query = select(row.update_sha256).where(row.study == study, row.update_sha256.is_not(None))
    return sorted({found for found in session.scalars(query.where(row.update_sha256.not_in(others)))
                   if found})  # fmt: skip


def begin(session: Session) -> None:
    """Take the lock for a transaction that also moves triggers, so that all of it is one."""
    session.connection().exec_driver_sql("BEGIN IMMEDIATE")


def destroy_rows(session: Session, row: DestroyedRow) -> None:
    """Delete every row of a study in a transaction of `begin`; the guards are back at its end."""
    connection = session.connection()
    names = [table.__tablename__ for table in GUARDED]
    for name in names:
        for deed in ("update", "delete"):
            connection.exec_driver_sql(f"DROP TRIGGER {name}_no_{deed}")
    alarms = select(mirror.MirrorAlarm.id).where(mirror.MirrorAlarm.study == row.study)
    session.execute(delete(mirror.MirrorEvidence).where(mirror.MirrorEvidence.alarm.in_(alarms)))
    for table in (*GUARDED[1:], *PLAIN):
        session.execute(delete(table).where(table.study == row.study))
    for name in names:
        for statement in guards(name):
            connection.exec_driver_sql(statement)
    session.add(row)
    session.flush()


def scrub(sessions: Sessions) -> None:
    """Empty the write-ahead log, which holds old pages with what was deleted."""
    with sessions() as session:
        session.connection().exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
