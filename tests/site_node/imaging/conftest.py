"""A hospital for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.site_node.imaging.files import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital with an empty home."""
    return Site(tmp_path / "home")
