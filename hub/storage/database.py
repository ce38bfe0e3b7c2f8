"""Engines and transactions: SQLite (WAL, full sync, one writer at a time) or PostgreSQL.

A transaction begins in a service; nothing here and no route ever commits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.exc import ArgumentError, DataError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from compliance.errors import Malformed, NotReady, Unreachable

BUSY_SECONDS = 30
Transaction = Session
"""What a service holds while it writes; services know no SQL."""


class Base(DeclarativeBase):
    """What every table of the hub inherits."""


class Database:
    """The hub's database, by URL.

    Args:
        url: `sqlite:///PATH` or `postgresql+psycopg://…`.

    Raises:
        NotReady: another kind of URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        arguments = {"timeout": BUSY_SECONDS} if url.startswith("sqlite") else {}
        try:
            self.engine = create_engine(url, connect_args=arguments, pool_pre_ping=True)
        except (ArgumentError, ImportError) as error:
            raise NotReady(
                "the setting database_url names no database that this release knows.",
                "Write sqlite:///PATH or postgresql+psycopg://USER:PASSWORD@HOST/NAME.",
            ) from error
        if url.startswith("sqlite"):
            _durable(self.engine)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self, *locks: str) -> Iterator[Session]:
        """Open one transaction: all or nothing; `locks` name what only one may write at a time.

        Whoever takes several names them in one order everywhere, or two would wait for each other.

        Raises:
            Unreachable: the database is busy or away.
            Malformed: a value holds a character that no table takes.
        """
        with self._sessions() as session:
            try:
                with session.begin():
                    self._lock(session, locks)
                    yield session
            except (OperationalError, NoConnection) as error:
                raise Unreachable(f"the database does not answer ({reason(error)}).") from error
            except DataError as error:
                raise Malformed("input", "it holds a character that cannot be stored") from error

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a session that only reads."""
        with self._sessions() as session:
            try:
                yield session
            except (OperationalError, NoConnection, ProgrammingError) as error:
                raise NotReady(
                    f"the database cannot be read ({reason(error)}).",
                    "Run `consilium hub upgrade`, or name the right home with --home.",
                ) from error
            except DataError as error:
                raise Malformed("input", "it holds a character that cannot be stored") from error

    def scrub(self, *tables: str) -> None:
        """Let go of old copies of what was deleted from these tables, as far as the database can.

        SQLite overwrites deleted bytes and keeps old pages in its write-ahead log until that is
        emptied; PostgreSQL keeps dead rows until a vacuum. Somebody who reads just now may delay
        it: then the next one does it.
        """
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            if self.url.startswith("sqlite"):
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                return
            for table in tables:
                connection.exec_driver_sql(f"VACUUM {table}")

    def _lock(self, session: Session, locks: tuple[str, ...]) -> None:
        if self.url.startswith("sqlite"):
            session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            return
        for lock in locks:
            number = int.from_bytes(hashlib.sha256(lock.encode()).digest()[:8], "big", signed=True)
            session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def reason(error: Exception) -> str:
    """What the database said, in its first line."""
    return str(getattr(error, "orig", None) or error).split("\n", 1)[0]


def _durable(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN IMMEDIATE ourselves
        cursor = connection.cursor()
        pragmas = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
