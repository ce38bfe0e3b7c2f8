"""One hub per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.house import House
from tests.needs import need
from tests.postgres import Cluster, cluster


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hub with an empty database."""
    made = House(tmp_path / "hub")
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for the whole run, started by the first test that asks."""
    need("postgres")
    with cluster() as running:
        yield running


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
