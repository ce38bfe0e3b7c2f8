"""What a worker would do is done in the tests' own process, by the worker's own code."""

from __future__ import annotations

import pytest

from site_node.federation import in_time
from site_node.training.worker import do


@pytest.fixture(autouse=True)
def worker_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker is started: a job goes straight to its code."""
    monkeypatch.setattr(in_time, "carry_out", lambda work, vector, _, look: do(work, vector, look))
