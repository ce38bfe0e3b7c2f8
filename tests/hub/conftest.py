"""One hub per test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.house import House


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hub with an empty database."""
    made = House(tmp_path / "hub")
    yield made
    made.close()
