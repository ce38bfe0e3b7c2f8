"""Tables of the logs: entries, tree nodes, checkpoints, cosignatures; append and read only."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import (
    DDL,
    LargeBinary,
    Row,
    Table,
    Text,
    bindparam,
    event,
    func,
    insert,
    select,
    tuple_,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column
from sqlalchemy.schema import ExecutableDDLElement

from hub.storage.database import Base

NEWEST = 64
"""Lines of which the latest time is sought: those of the newest checkpoints."""


class LogRow(Base):
    """One log; `size` is a cache, the entries are the truth."""

    __tablename__ = "log"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    origin: Mapped[str] = mapped_column(Text, unique=True)
    log_id: Mapped[str] = mapped_column(Text)
    vkey: Mapped[str] = mapped_column(Text)
    size: Mapped[int]


class EntryRow(Base):
    """One entry as received; type, actor and time are an index, never trusted."""

    __tablename__ = "log_entry"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    idx: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    leaf: Mapped[bytes] = mapped_column(LargeBinary)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    type: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    time: Mapped[str] = mapped_column(Text)


class NodeRow(Base):
    """One complete subtree of a log's tree."""

    __tablename__ = "log_node"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    pos: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class CheckpointRow(Base):
    """One checkpoint that the log signed; kept for every issued size."""

    __tablename__ = "log_checkpoint"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    note: Mapped[bytes] = mapped_column(LargeBinary)
    issued_at: Mapped[str] = mapped_column(Text)
    quorum: Mapped[bool]


class CosignatureRow(Base):
    """One witness's line under one checkpoint."""

    __tablename__ = "log_cosignature"
    study: Mapped[str] = mapped_column(Text, primary_key=True)
    size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key_name: Mapped[str] = mapped_column(Text, primary_key=True)
    line: Mapped[str] = mapped_column(Text)
    time: Mapped[int]


def guards(table: str, dialect: str) -> list[str]:
    """SQL that makes a table append-only: a seat belt, the proof is the tree."""
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END"
            for verb in ("UPDATE", "DELETE")
        ]
    function = (
        f"CREATE OR REPLACE FUNCTION {table}_guard() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the log is append-only'; END $$"
    )
    trigger = (
        f"CREATE TRIGGER {table}_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_guard()"
    )
    return [function, trigger]


def _guard(table: Table) -> None:
    for dialect in ("sqlite", "postgresql"):
        for statement in guards(table.name, dialect):
            rule: ExecutableDDLElement = DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]
            event.listen(table, "after_create", rule.execute_if(dialect=dialect))


_guard(cast(Table, EntryRow.__table__))
_guard(cast(Table, NodeRow.__table__))

_LOG, _ENTRY, _NODE, _CHECKPOINT = (
    cast(Table, row.__table__) for row in (LogRow, EntryRow, NodeRow, CheckpointRow)
)
_COLUMNS = [column.name for column in _ENTRY.columns]
_ADD_ENTRY, _ADD_NODE = insert(_ENTRY), insert(_NODE)
_SIZE = update(_LOG).where(_LOG.c.study == bindparam("log")).values(size=bindparam("to"))
_FIND_LOG = select(_LOG).where(_LOG.c.study == bindparam("log"))
_FIND_LEAF = select(_ENTRY.c.idx).where(
    _ENTRY.c.study == bindparam("log"), _ENTRY.c.leaf_hash == bindparam("hash")
)
_READ = (
    select(_ENTRY.c.leaf)
    .where(
        _ENTRY.c.study == bindparam("log"),
        _ENTRY.c.idx >= bindparam("start"),
        _ENTRY.c.idx < bindparam("stop"),
    )
    .order_by(_ENTRY.c.idx)
)
_ISSUED = (
    select(_CHECKPOINT.c.size, _CHECKPOINT.c.issued_at)
    .where(_CHECKPOINT.c.study == bindparam("log"))
    .order_by(_CHECKPOINT.c.size.desc())
    .limit(1)
)
"""Built once and without objects: an append is on the way of every statement of every hospital."""

NO_STOP = 2**31 - 1


def find_log(session: Session, study: str) -> Row[Any] | None:
    """A log by its study, with the columns of `LogRow`."""
    return session.execute(_FIND_LOG, {"log": study}).first()


def all_logs(session: Session) -> list[LogRow]:
    """Every log, by study."""
    return list(session.scalars(select(LogRow).order_by(LogRow.study)))


def add_log(session: Session, row: LogRow) -> None:
    """Begin a log."""
    session.add(row)
    session.flush()


def log_size(session: Session, study: str) -> int:
    """Number of entries, counted."""
    query = select(func.count()).select_from(EntryRow).where(EntryRow.study == study)
    return int(session.scalar(query) or 0)


def read_entries(session: Session, study: str, start: int, stop: int | None = None) -> list[bytes]:
    """Entries start … stop - 1, as received."""
    wanted = {"log": study, "start": start, "stop": NO_STOP if stop is None else stop}
    return list(session.scalars(_READ, wanted))


def read_nodes(session: Session, study: str, level: int, start: int, stop: int) -> list[bytes]:
    """Hashes start … stop - 1 of one level of the tree; complete subtrees only."""
    query = select(NodeRow.hash).where(
        NodeRow.study == study, NodeRow.level == level, NodeRow.pos >= start, NodeRow.pos < stop
    )
    return list(session.scalars(query.order_by(NodeRow.pos)))


def entries_of_type(session: Session, study: str, kind: str) -> list[bytes]:
    """Entries of one type, as received; the type is an index, the reader parses again."""
    query = select(EntryRow.leaf).where(EntryRow.study == study, EntryRow.type == kind)
    return list(session.scalars(query.order_by(EntryRow.idx)))


def places_of_type(session: Session, study: str, kind: str) -> list[int]:
    """Indices of the entries of one type."""
    query = select(EntryRow.idx).where(EntryRow.study == study, EntryRow.type == kind)
    return list(session.scalars(query.order_by(EntryRow.idx)))


def find_leaf(session: Session, study: str, leaf_hash: bytes) -> int | None:
    """Index of an identical entry, if it stands in the log already."""
    found: int | None = session.scalar(_FIND_LEAF, {"log": study, "hash": leaf_hash})
    return found


def add_entry(session: Session, row: EntryRow, nodes: list[tuple[int, int, bytes]]) -> None:
    """Add the next entry and the subtrees that it completes, in three statements."""
    session.execute(_ADD_ENTRY, {name: getattr(row, name) for name in _COLUMNS})
    below = [{"study": row.study, "level": a, "pos": b, "hash": c} for a, b, c in nodes]
    if below:
        session.execute(_ADD_NODE, below)
    session.execute(_SIZE, {"log": row.study, "to": row.idx + 1})


def leaf_hashes(session: Session, study: str) -> list[bytes]:
    """The hash of every entry as the tree keeps it, in order."""
    query = select(NodeRow.hash).where(NodeRow.study == study, NodeRow.level == 0)
    return list(session.scalars(query.order_by(NodeRow.pos)))


def newest_checkpoint(session: Session, study: str, *, quorum: bool) -> CheckpointRow | None:
    """The newest checkpoint, or the newest that has its quorum."""
    query = select(CheckpointRow).where(CheckpointRow.study == study)
    if quorum:
        query = query.where(CheckpointRow.quorum)
    return session.scalar(query.order_by(CheckpointRow.size.desc()).limit(1))


def last_issued(session: Session, study: str) -> tuple[int, str] | None:
    """Size and time of the newest checkpoint."""
    row = session.execute(_ISSUED, {"log": study}).first()
    return None if row is None else (row.size, row.issued_at)


def recent_checkpoints(session: Session, study: str, most: int) -> list[CheckpointRow]:
    """The newest checkpoints, newest first."""
    query = select(CheckpointRow).where(CheckpointRow.study == study)
    return list(session.scalars(query.order_by(CheckpointRow.size.desc()).limit(most)))


def find_checkpoint(session: Session, study: str, size: int) -> CheckpointRow | None:
    """The checkpoint of one size."""
    return session.get(CheckpointRow, (study, size))


def add_checkpoint(session: Session, row: CheckpointRow) -> None:
    """Keep a checkpoint."""
    session.add(row)
    session.flush()


def cosignatures(session: Session, study: str, size: int) -> list[CosignatureRow]:
    """Every cosignature of one checkpoint, by witness."""
    query = select(CosignatureRow).where(CosignatureRow.study == study, CosignatureRow.size == size)
    return list(session.scalars(query.order_by(CosignatureRow.key_name)))


def last_cosigned(session: Session, study: str) -> int:
    """When a witness cosigned one of the newest checkpoints last, s since 1970; 0 for never."""
    query = select(CosignatureRow.time).where(CosignatureRow.study == study)
    newest = query.order_by(CosignatureRow.size.desc()).limit(NEWEST)
    return max(session.scalars(newest), default=0)


def newest_cosignatures(session: Session, study: str) -> list[CosignatureRow]:
    """The newest cosignature of each witness, by its key's name."""
    row = CosignatureRow
    mine = select(row.key_name, func.max(row.size)).where(row.study == study)
    query = select(row).where(row.study == study)
    query = query.where(tuple_(row.key_name, row.size).in_(mine.group_by(row.key_name)))
    return list(session.scalars(query.order_by(row.key_name)))


def add_cosignature(session: Session, row: CosignatureRow) -> None:
    """Keep a witness's line; the same witness again replaces nothing."""
    if session.get(CosignatureRow, (row.study, row.size, row.key_name)) is None:
        session.add(row)
        session.flush()


def mark_quorum(session: Session, study: str, size: int) -> None:
    """Note that a checkpoint has its quorum; an index, recomputed by everybody who cares."""
    session.get_one(CheckpointRow, (study, size)).quorum = True
