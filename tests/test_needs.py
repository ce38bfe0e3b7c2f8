"""The switch that turns a missing component from a skip into a failure."""

from __future__ import annotations

import pytest
from _pytest.outcomes import Failed, Skipped

from tests import needs


@pytest.fixture
def no_postgres(monkeypatch, tmp_path):
    """Hide every PostgreSQL of this machine, and forget afterwards what was missed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(needs, "DEBIAN_POSTGRES", tmp_path)
    monkeypatch.setattr(needs, "not_exercised", {})


def test_a_missing_component_is_skipped_with_the_way_to_get_it(no_postgres, monkeypatch):
    """A developer without PostgreSQL reads the command, and the run's last line names it."""
    monkeypatch.delenv(needs.VARIABLE, raising=False)

    with pytest.raises(Skipped, match="apt-get install postgresql"):
        needs.need("postgres")

    assert needs.last_line() == ("Not exercised here: postgres (storage seams, locks, migrations).")


@pytest.mark.parametrize("value", ["postgres", "browser, postgres", "all"])
def test_a_required_component_that_is_missing_fails_the_run(no_postgres, monkeypatch, value):
    """In CI nothing is left out in silence."""
    monkeypatch.setenv(needs.VARIABLE, value)

    with pytest.raises(Failed, match="postgres is absent"):
        needs.need("postgres")


def test_requiring_something_unknown_is_an_error():
    """A typing mistake in the CI's list would otherwise require nothing at all."""
    with pytest.raises(pytest.UsageError, match="postgras"):
        needs.required({needs.VARIABLE: "postgras"})


def test_all_means_everything_but_the_graphics_card():
    """No CI machine has a card by accident; who wants it says so."""
    assert needs.required({needs.VARIABLE: "all"}) == needs.COMPONENTS.keys() - {"gpu"}
    assert needs.required({}) == set()


def test_a_component_that_is_here_lets_the_test_go_on(monkeypatch, tmp_path):
    """Debian keeps the server's programs off the path: they are found in its own folder."""
    for version in ("9.6", "15", "16"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        (folder / "initdb").touch()
    monkeypatch.setattr(needs, "DEBIAN_POSTGRES", tmp_path)

    needs.need("postgres")

    assert needs.postgres_programs() == tmp_path / "16" / "bin"
