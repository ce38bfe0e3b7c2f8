"""The site's own database: one SQLite file, write-ahead log, full sync.

A hospital's record must survive a power cut: WAL with `synchronous=FULL` makes a commit durable.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

PRAGMAS = ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON")


class Base(DeclarativeBase):
    """What every table of the site inherits."""


def open_store(path: Path) -> sessionmaker[Session]:
    """Open (and on first use create) the site's database; every known table exists afterwards.

    Args:
        path: the SQLite file, normally `<home>/site.sqlite`; made with mode 0600.
    """
    if not path.exists():
        path.touch(mode=0o600)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    _durable(engine)
    Base.metadata.create_all(engine)
    return sessionmaker(engine, expire_on_commit=False)


def _durable(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
