"""The Contribution tab: shares that this process made from the entries it checked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from compliance.report.account import NOT_PROOF
from tests.dashboard.stage import Stage
from tests.dashboard.test_views import draw, tables, wire, words  # noqa: F401 - shared fixtures

Draw = Callable[..., AppTest]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A study of two closed rounds whose shares are by cases."""
    made = Stage(tmp_path / "hub")
    made.run(2)
    made.settle()
    yield made
    made.close()


def test_everybody_reads_the_same_shares_and_what_they_do_not_say(
    draw: Draw,  # noqa: F811 - the fixture
    stage: Stage,
) -> None:
    """The rule by its label, a row a hospital, the limits, and a statement to take along."""
    at = draw("study", "celine", id=stage.study, tab="Contribution")

    told = words(at)
    assert "Rounds 1 to 2" in told
    assert "agreed split: by training cases of every round" in told
    assert all(sentence in told for sentence in NOT_PROOF)
    rows = tables(at)
    assert len(rows) == 3
    assert sum(float(row[1]) for row in rows) == pytest.approx(1, abs=1e-9)
    assert [str(item.label) for item in at.get("download_button")][:1] == ["Download as CSV"]
