"""A hub per test, on SQLite or on both databases; shared by the folders that need one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.house import House
from tests.postgres import Cluster


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hub on SQLite, with an empty database."""
    made = House(tmp_path / "hub")
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "postgres"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    """A hub on each database."""
    url = None
    if request.param == "postgres":
        running: Cluster = request.getfixturevalue("postgres")
        url = running.database()
    made = House(tmp_path / "hub", database_url=url)
    yield made
    made.close()
