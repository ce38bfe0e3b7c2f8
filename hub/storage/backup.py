"""A consistent copy of an SQLite database while others write to it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from compliance.errors import NotReady
from hub.storage.database import Database

SQLITE = "sqlite:///"


def copy_of(database: Database, target: Path) -> None:
    """Copy the database into a file, as it was at one moment.

    Raises:
        NotReady: it is no SQLite database; its own program copies it.
    """
    if not database.url.startswith(SQLITE):
        raise NotReady(
            "this hub keeps its logs in PostgreSQL, which has its own backup.",
            "Run `pg_dump --format=custom --file=hub.dump NAME`, and copy the home beside it. "
            "After a restore run `consilium hub hold` before `consilium hub serve`.",
        )
    source = Path(database.url.removeprefix(SQLITE))
    with (
        closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True)) as old,
        closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)
