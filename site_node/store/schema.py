"""The revision of the site's database: made at the first opening, moved by `site upgrade` only.

A release opens a database of its own revision and no other. A move works on a copy that takes the
place of the database in one step, so a power cut leaves the old one or the new one; the old one is
kept beside it until the next move.

Source: design/packaging.md §8 (migrations).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.orm import Session, sessionmaker

from compliance.errors import NotReady
from site_node.store import (
    cleaned,
    controls,
    counts,
    destroyed,
    egress,
    geometry,
    journal,
    locals,
    masking,
    masks,
    mirror,
    objects,
    outbox,
    points,
    predictions,
    privacy,
    questions,
    replies,
    samples,
    shards,
    studies,
    versions,
)
from site_node.store.database import Base, durable

TABLES = (
    *(cleaned, controls, counts, destroyed, egress, geometry, journal, locals, masking, masks),
    *(mirror, objects, outbox, points, predictions, privacy, questions, replies, samples, shards),
    studies,
    versions,
)
"""Modules that declare tables: all of them are known before one is made."""

HEAD = "0011"
"""Newest revision of `migrations/versions`; a test compares."""

MIGRATIONS = Path(__file__).parent / "migrations"
UNNAMED = "unnamed"
"""A database made before revisions were written down."""


def open_store(path: Path) -> sessionmaker[Session]:
    """Open the site's database; the first time it is made, with every table of this release.

    Args:
        path: the SQLite file, normally `<home>/site.sqlite`; made with mode 0600.

    Raises:
        NotReady: it is of another revision.
    """
    if not path.exists():
        path.touch(mode=0o600)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
    durable(engine)
    with engine.connect() as connection:
        found = revision_of(connection) or _make(connection)
    if found != HEAD:
        engine.dispose()
        raise NotReady(
            f"the database of this site is of revision {found}, this release needs {HEAD}.",
            "Run `consilium site upgrade`. Going back to an older release? Then run "
            "`consilium site upgrade --to REVISION` with the newer one first.",
        )
    return sessionmaker(engine, expire_on_commit=False)


def revision_of(connection: Connection) -> str | None:
    """The revision that stands in the database; None while nothing is in it."""
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    names = {row[0] for row in connection.exec_driver_sql(query)}
    if "alembic_version" not in names:
        return UNNAMED if names else None
    return str(connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar())


def _make(connection: Connection) -> str:
    """All tables and the revision, or nothing; whoever comes second finds them made."""
    connection.rollback()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    if revision_of(connection) is None:
        Base.metadata.create_all(connection)
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (HEAD,))
    connection.commit()
    return str(revision_of(connection))


def move(path: Path, target: str = "head") -> tuple[str, str]:
    """Bring the database to a revision, up or down; returns the one before and the one after.

    Nothing is lost on the way down: what an older release does not know stays where it is.

    Raises:
        NotReady: there is no database, no such revision, or somebody has the database open.
    """
    if not path.exists():
        raise NotReady(f"there is no database {path}.", "Name the site's folder with --home.")
    _settle(path)
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(fresh)) as new:
        old.backup(new)
    before, after = _migrate(fresh, target)
    if after != before:
        _take_place(fresh, path)
    fresh.unlink(missing_ok=True)
    return before, after


def _settle(path: Path) -> None:
    """Fold the write-ahead log in; it must not be found beside another database file."""
    try:
        with closing(sqlite3.connect(path, timeout=5)) as old:
            mode = old.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
    except sqlite3.OperationalError:
        mode = "locked"
    if mode != "delete":
        raise NotReady(
            f"{path} is in use.", "End `consilium site serve` and every other command first."
        )


def _migrate(path: Path, target: str) -> tuple[str, str]:
    from alembic import command  # a second to import; only an upgrade needs it
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            before = revision_of(connection) or UNNAMED
            connection.rollback()
            config.attributes["connection"] = connection
            known = [row.revision for row in ScriptDirectory.from_config(config).walk_revisions()]
            down = target in known and before in known and known.index(target) > known.index(before)
            (command.downgrade if down else command.upgrade)(config, target)
            connection.commit()
            return before, revision_of(connection) or UNNAMED
    except CommandError as error:
        raise NotReady(
            f"this release does not know the way to revision {target} ({error}).",
            "Name one of its revisions, or use the release that made this database.",
        ) from error
    finally:
        engine.dispose()


def _take_place(fresh: Path, path: Path) -> None:
    """The copy takes the place of the database in one step; the old one stays beside it."""
    kept = path.with_name(f"{path.stem}.before{path.suffix}")
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    kept.unlink(missing_ok=True)
    os.link(path, kept)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
