"""A house whose hub may be lost, and the empty hub that may come after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.failover.successors import Successor, studied
from tests.house import House


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Hub and two hospitals with one study and one closed round."""
    made = House(tmp_path / "town", capsys)
    studied(made)
    return made


@pytest.fixture
def successor(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Successor:
    """An empty hub of the same name."""
    return Successor(house, tmp_path / "successor", capsys)
