"""The schema's revision: made by `hub init`, moved by `hub upgrade`, checked before serving."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from compliance.errors import NotReady, Unreachable
from hub.storage.database import Database, reason

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> str:
    """Bring the database to the newest revision; returns it.

    Raises:
        Unreachable: the database is away.
    """
    config = _config()
    try:
        with database.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
    except OperationalError as error:
        raise _away(error) from error
    return _head(config)


def check_revision(database: Database) -> None:
    """Refuse to serve a database of another revision.

    Raises:
        NotReady: with the command that brings it up to date.
        Unreachable: the database is away.
    """
    try:
        with database.engine.connect() as connection:
            found = MigrationContext.configure(connection).get_current_revision()
    except OperationalError as error:
        raise _away(error) from error
    wanted = _head(_config())
    if found != wanted:
        raise NotReady(
            f"the database is of revision {found}, this release needs {wanted}.",
            "Run `consilium hub upgrade`.",
        )


def _away(error: OperationalError) -> Unreachable:
    return Unreachable(
        f"the database does not answer ({reason(error)}).", "Start it, or correct database_url."
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _head(config: Config) -> str:
    return ScriptDirectory.from_config(config).get_current_head() or ""
