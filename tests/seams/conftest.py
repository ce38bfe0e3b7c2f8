"""Both databases that the hub may use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.storage.database import Database
from hub.storage.schema import upgrade
from tests.needs import need
from tests.postgres import Cluster, cluster


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for the whole run, started by the first test that asks."""
    need("postgres")
    with cluster() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new, empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'hub.sqlite'}"
    running: Cluster = request.getfixturevalue("postgres")
    return running.database()


@pytest.fixture
def empty(url: str) -> Iterator[Database]:
    """A database without any table."""
    database = Database(url)
    yield database
    database.engine.dispose()


@pytest.fixture
def database(empty: Database) -> Database:
    """A database of the newest revision."""
    upgrade(empty)
    return empty
