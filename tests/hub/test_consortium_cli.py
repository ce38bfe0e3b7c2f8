"""The operator lays down the agreement and pulls the brake; the hospitals decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from compliance.canonical import sha256_id
from compliance.command import main
from tests.hub.house import NAMES, House
from tests.hub.test_cli import sentence, told

EAST, NORTH, SOUTH = NAMES


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A hub that three hospitals have joined."""
    made = House(tmp_path / "hub")
    for site in NAMES:
        made.rooms.members.join(made.application(site, made.token(site)))
    yield made
    made.close()


def hub(house: House, *words: str) -> int:
    """Run `consilium hub …` in this home."""
    return main(["hub", *words, "--home", str(house.home)])


def found(house: House, capsys, *words: str) -> dict[str, Any]:
    """The agreement as the command laid it down."""
    assert hub(house, "found", "--json", *words) == 0
    return told(capsys)


def test_the_agreement_names_who_must_sign_and_how(house, capsys):
    """Its id, and one command for each hospital."""
    assert hub(house, "found", "--now") == 0

    said = capsys.readouterr().out
    for site in NAMES:
        assert f"{site}/institution: consilium site sign sha256:" in said


def test_the_operator_reads_the_terms_before_they_are_laid_down(house, capsys, monkeypatch):
    """Without a yes nothing is laid before anybody."""
    monkeypatch.setattr("typer.confirm", _no)

    assert hub(house, "found", "--min-examples", "30") != 0

    said = capsys.readouterr().out
    assert "min_examples 30" in said
    assert "2 of 3: one hospital may be down" in said
    assert house.rooms.motions.waiting() == 0


def _no(_question: str, *, abort: bool) -> None:
    import typer

    assert abort
    raise typer.Abort


def test_every_term_of_the_agreement_can_be_said(house, capsys, tmp_path):
    """What the options say is what the hospitals sign."""
    paper = tmp_path / "jca.pdf"
    paper.write_bytes(b"the arrangement")

    body = found(
        house, capsys, "--title", "Three towns", "--min-examples", "30", "--min-cell", "10",
        "--min-sites", "3", "--signatures-required", "2", "--admit-k", "3", "--amend-k", "3",
        "--quorum-k", "3", "--profiles", "gdpr,hipaa", "--country", f"{NORTH}=SE",
        "--document", f"joint_controllers=JCA 1={paper}",
    )["body"]  # fmt: skip

    assert (body["title"], body["profiles"]) == ("Three towns", ["gdpr", "hipaa"])
    assert body["floors"] == {"min_examples": 30, "min_cell": 10, "min_sites": 3}
    assert [body[name] for name in ("signatures_required", "admit_k", "amend_k")] == [2, 3, 3]
    assert body["quorum"]["k"] == 3
    assert [row["country"] for row in body["members"]] == ["ZZ", "SE", "ZZ"]
    assert body["documents"] == [
        {"kind": "joint_controllers", "ref": "JCA 1", "sha256": sha256_id(b"the arrangement")}
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--document", "contract"), "KIND=REF=FILE"),
        (("--document", "contract=C 1=/no/such/file"), "cannot be read"),
        (("--country", "north.example"), "NAME=XX"),
        (("--country", f"{NORTH}=sweden"), "country"),
        (("--profiles", "Not A Slug"), "profiles"),
    ],
)
def test_a_wrong_word_lays_nothing_down(house, capsys, words, says):
    """One sentence, and the list of motions stays empty."""
    assert hub(house, "found", "--now", *words) == 2

    assert says in sentence(capsys)
    assert house.rooms.motions.waiting() == 0


def test_the_motions_are_listed_with_who_can_still_sign(house, capsys):
    """Before, between and after."""
    assert hub(house, "motions") == 0
    assert "No text waits" in capsys.readouterr().out
    motion = found(house, capsys)
    house.sign_motion(motion["id"], EAST)

    assert hub(house, "motions") == 0

    said = capsys.readouterr().out
    assert f"1 signed, wanting {NORTH}/institution, {SOUTH}/institution" in said


def test_the_brake_says_that_it_is_no_decision_of_the_hospitals(house, capsys):
    """It takes effect, it is taken back, and no log knows of it."""
    house.found()
    size = house.rooms.ledger.size("consortium")

    assert hub(house, "suspend", EAST) == 0
    said = capsys.readouterr().out
    assert "stands in no log" in said
    assert f"consilium site suspend {EAST}" in said
    assert EAST not in house.rooms.members.flower_keys()

    assert hub(house, "suspend", EAST, "--lift", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"site": EAST, "served": True}
    assert EAST in house.rooms.members.flower_keys()
    assert house.rooms.ledger.size("consortium") == size


def test_the_brake_knows_the_hospitals(house, capsys):
    """A name that nobody has is told."""
    assert hub(house, "suspend", "nobody.example") == 2

    assert "is no member" in sentence(capsys)
