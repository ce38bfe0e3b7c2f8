"""The statement of contributions: the same numbers as CSV, as PDF and on the command line."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from pypdf import PdfReader

from compliance.command import main
from compliance.report import bag
from compliance.report.account import NOT_PROOF, accounts_of
from compliance.report.contributions import table
from compliance.report.log import Log
from compliance.report.story.statement import tell_statement
from hub.services.statement_pdf import statement
from tests.report.evidence import SITES, TOP, files_of
from tests.report.readers import log_of
from tests.simulator import Federation
from tests.sweeps import accounted, rule

FIRST = SITES[0]


def worth(seed: int, coalition: int, _site: str) -> int:
    """The first hospital helps, a little more with each seed; the others do not."""
    return 20 + (5 + seed) * (coalition & 1)


@pytest.fixture(scope="module")
def world() -> Federation:
    """A study of one round with an exact account."""
    study = Federation(sites=SITES, contribution=rule(floor="0.1"), max_rounds=1).play_round()
    return accounted(study, worth)


@pytest.fixture(scope="module")
def log(world: Federation) -> Log:
    """Its log, witnessed."""
    return log_of(world)


def rows_of(data: bytes) -> list[dict[str, str]]:
    """Rows of a statement."""
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_the_tables_values_are_the_accounts(log: Log) -> None:
    """Share with its floor, value, deviation, interval and label; own rows for one hospital."""
    accounts = accounts_of(log.events, log.state)

    everybody, own = rows_of(table(accounts)), rows_of(table(accounts, FIRST))

    assert [row["site"] for row in everybody] == list(SITES)
    assert own == everybody[:1]
    assert own[0]["share"] == "0.800000"
    assert (own[0]["value"], own[0]["deviation"]) == ("0.140000", "0.031623")
    assert (own[0]["low"], own[0]["high"]) == ("0.100736", "0.179264")
    assert own[0]["label"].startswith("exact Shapley value")
    assert everybody[1]["share"] == "0.100000"
    assert float(everybody[1]["low"]) <= 0


def test_the_pdf_says_what_the_table_says_and_what_it_is_not_proof_against(log: Log) -> None:
    """For an archive; the same bytes each time."""
    made = statement(log, {}, FIRST)

    assert made is not None
    assert made == statement(log, {}, FIRST)
    pages = PdfReader(io.BytesIO(made)).pages
    words = " ".join(" ".join(page.extract_text().split()) for page in pages)
    for part in (FIRST, "0.800000", "0.140000", "0.100736 to 0.179264", "exact Shapley value"):
        assert part in words, part
    assert "two names" in words
    assert SITES[1] not in words.split("Rounds 1 to 1", 1)[1]
    assert b"statement of contributions" in made or "Statement of contributions" in words


def test_a_study_without_an_account_says_so() -> None:
    """Nothing is made up."""
    bare = Federation(sites=SITES, contribution=rule(), max_rounds=1).play_round()

    story = tell_statement(log_of(bare), {})

    assert story.sections[0].title == "Account"
    assert len(story.sections[-1].blocks[0].items) == len(NOT_PROOF)  # type: ignore[union-attr]


def test_the_command_writes_a_statement_beside_the_bundle(
    world: Federation, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One hospital's by name; a stranger is told who is known."""
    bundle = tmp_path / "study.zip"
    bundle.write_bytes(bag.write_zip(f"{TOP}-{len(world.entries)}", files_of(world)))

    assert main(["audit", "statement", str(bundle), "--site", FIRST]) == 0
    assert main(["audit", "statement", str(bundle), "--site", "stranger.example"]) == 2
    assert FIRST in capsys.readouterr().err
    (made,) = tmp_path.glob("statement-*.csv")
    assert rows_of(made.read_bytes())[0]["share"] == "0.800000"
    out = tmp_path / "own.pdf"
    assert main(["audit", "statement", str(bundle), "--pdf", "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"%PDF")
