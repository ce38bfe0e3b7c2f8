"""One consortium per test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site_node.gate.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A hub in memory and the future home of one hospital."""
    return World(tmp_path)
