"""The journal's table: what this hospital wrote down for itself; rows are added, never changed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Engine, Table, event, func, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Mapped, Session, mapped_column, sessionmaker

from site_node.store.database import Base

Sessions = sessionmaker[Session]
Transaction = Session
StoreFailed = DatabaseError
"""Disk full, file not writable or no database, or locked for too long."""


def close_store(sessions: Sessions) -> None:
    """Close every connection to the database."""
    bind = sessions.kw.get("bind")
    if isinstance(bind, Engine):
        bind.dispose()


class JournalRow(Base):
    """One thing that was asked, answered, refused or sent."""

    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[str]
    kind: Mapped[str]
    study: Mapped[str | None]
    rule: Mapped[str | None]
    data: Mapped[str]

    def as_dict(self) -> dict[str, Any]:
        """The row for people and machines."""
        return {
            "id": self.id,
            "at": self.at,
            "kind": self.kind,
            "study": self.study,
            "rule": self.rule,
            "data": json.loads(self.data),
        }


def never_changed(table: Any) -> None:
    """Let the database itself refuse to change or delete a row of this table."""

    @event.listens_for(table, "after_create")
    def guard(target: Table, connection: Connection, **_: Any) -> None:
        for statement in guards(target.name):
            connection.exec_driver_sql(statement)


def guards(table: str) -> list[str]:
    """SQL by which the database refuses to change or delete a row."""
    return [
        f"CREATE TRIGGER {table}_no_{deed.lower()} BEFORE {deed} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for deed in ("UPDATE", "DELETE")
    ]


never_changed(JournalRow.__table__)


def add_line(
    session: Session, *, at: str, kind: str, study: str | None, rule: str | None, data: Any
) -> None:
    """Write one line; the caller's transaction carries it."""
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    session.add(JournalRow(at=at, kind=kind, study=study, rule=rule, data=text))


def read_lines(session: Session, *, study: str | None, limit: int) -> list[JournalRow]:
    """The newest lines, oldest of them first."""
    query = select(JournalRow).order_by(JournalRow.id.desc()).limit(limit)
    if study:
        query = query.where(JournalRow.study == study)
    return list(reversed(session.scalars(query).all()))


def lines_of(session: Session, kind: str) -> list[JournalRow]:
    """Every line of one kind, oldest first."""
    query = select(JournalRow).where(JournalRow.kind == kind).order_by(JournalRow.id)
    return list(session.scalars(query).all())


def last_id(session: Session) -> int:
    """Number of the newest line; 0 before there is one."""
    return int(session.scalar(select(func.max(JournalRow.id))) or 0)


def lines_after(session: Session, number: int) -> list[JournalRow]:
    """Every line after this one, oldest first."""
    query = select(JournalRow).where(JournalRow.id > number).order_by(JournalRow.id)
    return list(session.scalars(query).all())


def count_lines(session: Session, *, kinds: Iterable[str], study: str | None, since: str) -> int:
    """How many lines of these kinds were written for a study since a time."""
    query = select(func.count()).select_from(JournalRow)
    query = query.where(JournalRow.kind.in_(list(kinds)), JournalRow.at >= since)
    if study:
        query = query.where(JournalRow.study == study)
    return int(session.scalar(query) or 0)


def count_since(session: Session, *, kind: str, last: str, study: str | None) -> int:
    """How many lines of one kind came after the newest line of another kind."""
    newest = select(func.max(JournalRow.id)).where(JournalRow.kind == last)
    query = select(func.count()).select_from(JournalRow).where(JournalRow.kind == kind)
    if study:
        newest = newest.where(JournalRow.study == study)
        query = query.where(JournalRow.study == study)
    return int(session.scalar(query.where(JournalRow.id > (session.scalar(newest) or 0))) or 0)
