"""The site's own database: one SQLite file, write-ahead log, full sync.

A hospital's record must survive a power cut: WAL with `synchronous=FULL` makes a commit durable.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import DeclarativeBase

PRAGMAS = (
    *("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "secure_delete=ON"),
    "cache_size=-32768",  # KiB: the tables of a million objects are larger than SQLite's 2 MB
)


class Base(DeclarativeBase):
    """What every table of the site inherits."""


def durable(engine: Engine) -> None:
    """Let every connection of this engine survive a power cut."""

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
