"""`consilium site journal --egress`: what left, and whether somebody changed the ledger."""

from __future__ import annotations

import sqlite3

import pytest

from site_node.wiring import open_site
from tests.site_node.shell import Site, launched


def test_the_ledger_begins_with_the_application_itself(member: Site) -> None:
    """The first thing that a hospital ever sends stands in the first line."""
    told = member.ask("journal", "--egress")

    assert told["lines"][0]["purpose"] == "join"
    assert told["lines"][0]["path"] == "POST /join"
    assert told["chain"]["holds"]


@pytest.mark.usefixtures("shelf")
def test_the_ledger_for_people_has_sums_by_purpose_and_a_head(member: Site) -> None:
    """What left, why, how much; and one hash to write down elsewhere."""
    launched(member)

    code, out = member.run("journal", "--egress", "--study", "00112233445566aa")
    head = member.ask("journal", "--egress")["chain"]["head"]

    assert code == 0
    assert "cosignature" in out
    assert "cosignatures of checkpoints" in out
    assert f"its head is {head}" in out
    assert "join " not in out


def test_since_counts_from_a_day_or_a_time(member: Site) -> None:
    """A day that has not come yet holds nothing; the first one holds all."""
    assert member.ask("journal", "--egress", "--since", "2999-01-01")["total"]["lines"] == 0
    later = member.ask("journal", "--egress", "--since", "2001-01-01T00:00:00Z")
    assert later["total"]["lines"] == len(later["lines"]) > 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--egress", "--since", "yesterday"), "no day and no time"),
        (("--egress", "--since", "2026-02-30"), "no day and no time"),
        (("--since", "2026-11-29"), "goes with --egress"),
    ],
)
def test_a_wrong_word_is_one_sentence(member: Site, words: tuple[str, ...], said: str) -> None:
    """What it is not, and how it is written."""
    code, _ = member.run("journal", *words)

    assert code == 2
    assert said in member.said


def test_a_changed_ledger_ends_with_one_and_names_the_line(member: Site) -> None:
    """Somebody took the triggers off and made a line smaller."""
    with sqlite3.connect(member.world.home / "site.sqlite") as database:
        database.execute("DROP TRIGGER egress_no_update")
        database.execute("UPDATE egress SET bytes = 1 WHERE id = 1")
    database.close()

    code, out = member.run("journal", "--egress")

    assert code == 1
    assert "BROKEN at line 1" in out


def test_an_empty_ledger_says_so(site: Site) -> None:
    """A folder without a member has sent nothing."""
    site.world.home.mkdir(mode=0o700)
    with open_site(site.world.home, joined=False) as rooms:
        assert rooms.egress.look().size == 0

    assert "Nothing has left yet." in site.run("journal", "--egress")[1]
