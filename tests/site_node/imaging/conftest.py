"""A hospital for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from compliance.command import main
from tests.site_node.imaging.files import Shell, Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A hospital with an empty home."""
    return Site(tmp_path / "home")


@pytest.fixture
def shell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Shell:
    """Runs `consilium site deidentify …` in a home of its own."""
    monkeypatch.setenv("CONSILIUM_HOME", str(tmp_path / "home"))

    def run(*words: str | Path) -> tuple[int, str, str]:
        try:
            code = main(["site", "deidentify", *(str(word) for word in words)])
        except SystemExit as end:
            code = int(end.code or 0)
        told = capsys.readouterr()
        return code or 0, told.out, told.err

    return run
