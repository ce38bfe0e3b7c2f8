"""Where the shared test data lies, with one clear sentence when it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def shared_data(*parts: str) -> Path:
    """Return a path below the shared data folder; fail with one sentence when it is missing."""
    path = ROOT.parent.joinpath("shared", "data", *parts)
    if not path.exists():
        pytest.fail(f"The test data {path} is missing: lay the shared folder beside the checkout.")
    return path
