"""One consortium per test."""

from __future__ import annotations

from pathlib import Path

import pytest

from site_node.wiring import Rooms
from tests.site_node.gate.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A hub in memory and the future home of one hospital."""
    return World(tmp_path)


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site whose consortium is founded and whose study is launched; both are mirrored."""
    made = world.joined()
    world.launched(made)
    return made
