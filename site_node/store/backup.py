"""A copy of the site's database as it was at one moment, also while it is written."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from site_node.store import wiping


def copy_of(path: Path, target: Path, *, with_objects: bool) -> None:
    """Copy the database into a new file.

    Args:
        path: the database of a site, which may be served meanwhile.
        target: the file to make.
        with_objects: whether rows about single images go along; without the images they would say
            that something is here which is not.
    """
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as old:
        old.execute("VACUUM INTO ?", (str(target),))
    target.chmod(0o600)
    if with_objects:
        return
    with closing(sqlite3.connect(target)) as copy:
        for table in wiping.TABLES:
            copy.execute(f"DELETE FROM {table.__tablename__}")  # noqa: S608 - our own table names
        copy.commit()
        copy.execute("VACUUM")


def is_whole(path: Path) -> bool:
    """Whether SQLite finds no fault in a database file."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as found:
            return bool(found.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.DatabaseError:
        return False
