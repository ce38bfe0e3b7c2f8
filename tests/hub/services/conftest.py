"""What tests of releases share: a study with models, and the hub's API before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from hub.main import create_app
from tests.dashboard.stage import Stage
from tests.site_node.gate.world import InProcess


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Three hospitals, two closed rounds, everything witnessed; two of three must agree."""
    made = Stage(tmp_path / "hub")
    made.run(2)
    yield made
    made.close()


@pytest.fixture
def http(stage: Stage) -> Iterator[httpx.Client]:
    """A client of the hub's API, without a socket."""
    transport = InProcess(create_app(stage.rooms))
    with httpx.Client(transport=transport, base_url="https://127.0.0.1:8443") as client:
        yield client
