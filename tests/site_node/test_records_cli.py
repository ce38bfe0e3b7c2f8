"""`consilium site destroy-mirror`: refused before the day, read before it is done, then gone."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from site_node.wiring import Rooms
from tests.site_node.gate.world import STUDY
from tests.site_node.shell import Site, launched


def years_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of retention has come, by the clock of this site."""
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2555, seconds=60)
    monkeypatch.setattr(Rooms.__init__, "__defaults__", (lambda: now,))


def test_before_the_day_nothing_is_destroyed(member: Site, shelf: None) -> None:
    """The sentence names the day and what to do."""
    launched(member)

    code, _ = member.run("destroy-mirror", STUDY, "--yes")

    assert code == 2
    assert "must be kept until" in member.said
    assert "Wait for that day" in member.said


def test_the_page_is_read_before_and_a_no_keeps_everything(
    member: Site, shelf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes, what stays, and a question."""
    launched(member)
    years_pass(monkeypatch)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))

    code, _ = member.run("destroy-mirror", STUDY, "--offline")

    assert code == 1
    assert "What goes: 1 entries of the log" in member.said
    assert "What stays: datasets" in member.said
    assert [row["kind"] for row in member.ask("journal")].count("study.destroyed") == 0


def test_a_copy_is_destroyed_with_one_command(
    member: Site, shelf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal tells it; a second time there is nothing to destroy."""
    launched(member)
    years_pass(monkeypatch)

    told = member.ask("destroy-mirror", STUDY[:8], "--yes", "--offline")

    assert (told["study"], told["entries"]) == (STUDY, 1)
    assert member.ask("journal", "--study", STUDY)[-1]["kind"] == "study.destroyed"
    assert member.run("destroy-mirror", STUDY, "--yes", "--offline")[0] == 2
    assert "names no study" in member.said
