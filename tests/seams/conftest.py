"""Both databases that the hub may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hub.storage.database import Database
from hub.storage.schema import upgrade


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
