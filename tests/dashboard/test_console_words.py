"""What the console says: every reason, code and kind has words, and tables keep their promises."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest

import dashboard.console
import site_node
from compliance.records.reasons import Quarantine
from compliance.rules.phases import Phase
from dashboard import console_card, console_tables, console_words
from site_node.store import studies
from tests.dashboard.test_words import FORBIDDEN

SITE = Path(site_node.__file__).parent
HERE = Path(dashboard.console.__file__).parent


def test_every_reason_of_quarantine_has_words() -> None:
    """No reason is shown as a code."""
    assert set(console_words.QUARANTINE) == set(Quarantine)


def test_every_answer_and_phase_has_words() -> None:
    """What a hospital can have said, and where a study can be."""
    said = {studies.SIGNED, studies.REFUSED, studies.WITHDRAWN, "waiting", "agreed", "objected"}

    assert set(console_words.ANSWERS) == said
    assert set(console_words.PHASES) == {str(phase) for phase in Phase} | {"not launched"}


def test_every_code_of_the_doctor_stands_on_a_rung() -> None:
    """The ladder knows whatever the doctor and the line to the hub can find."""
    doctor = "".join(
        (SITE / "gate" / f"{name}.py").read_text() for name in ("doctor", "neighbours")
    )
    line = (SITE / "gate" / "line.py").read_text()
    codes = set(re.findall(r'Check\(\s*"([a-z_]+)"', doctor))
    codes |= set(re.findall(r'\(\s*"([a-z_]+)",\s*f?"', line))
    known = {code for codes in console_words.RUNGS.values() for code in codes}

    assert len(codes) > 25
    assert codes <= known


def test_every_kind_of_line_of_the_journal_has_words() -> None:
    """Whatever a room writes down is shown in words."""
    wrote = re.compile(r'journal\.(?:write|within)\(\s*(?:session,\s*)?"([a-z.]+)"')
    found = {kind for path in SITE.rglob("*.py") for kind in wrote.findall(path.read_text("utf-8"))}

    assert len(found) > 25
    assert found <= set(console_words.JOURNAL)


def test_the_console_promises_what_can_be_kept() -> None:
    """The words that no page says are not said here either."""
    for path in [*HERE.glob("*.py"), *HERE.parent.glob("console_*.py")]:
        shown = re.findall(r'"([^"\n]*)"', path.read_text(encoding="utf-8"))
        assert [text for text in shown if FORBIDDEN.search(text) and " " in text] == [], path.name


@pytest.mark.parametrize(
    "text",
    [
        "**bold**", "[a](https://evil.example)", "![a](x)", "`code`", "# title", "- item", "1. one",
        "<b>", ":red[x]", ":material/home:", "$x$", "~~gone~~", "a | b", "line\nbreak", "&lt;",
    ],
)  # fmt: skip
def test_a_text_of_somebody_else_has_no_effect(text: str) -> None:
    """Each mark that a page would read is kept from being one; the words stay."""
    shown = console_tables.plain(text)

    bare = re.sub(r"\\.", "", shown)
    assert not re.search(r"[*_`\[\]()<>#$~|!:&]", bare)
    assert "\n" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Run `consilium site serve`; then try.", "Run `consilium site serve`; then try\\."),
        ("`a` `b`", "`a` `b`"),
        ("one ` alone", "one \\` alone"),
        ("``", ""),
    ],
)
def test_what_is_to_be_typed_stands_out_in_a_sentence(text: str, shown: str) -> None:
    """A command between backticks is shown as one; a lone backtick is a sign like others."""
    assert console_tables.spoken(text) == shown


def test_a_small_size_is_not_nothing() -> None:
    """131 bytes are 131 bytes."""
    assert console_tables.weight(131) == "131 bytes"
    assert console_tables.weight(281_968) == "275 KiB"


def test_a_spreadsheet_takes_no_line_of_the_file_for_a_formula() -> None:
    """A private detail that begins with = is a text."""
    rows = [{"kind": "trouble", "data": {"said": "x"}, "study": "=HYPERLINK(1)", "rule": None}]

    (row,) = csv.DictReader(io.StringIO(console_tables.csv_of(rows)))

    assert row == {
        "kind": "trouble",
        "data": '{"said": "x"}',
        "study": "'=HYPERLINK(1)",
        "rule": "",
    }
    assert console_tables.csv_of([]) == "\r\n"


def test_counts_that_are_not_told_apart_are_no_zeros() -> None:
    """A split with a total only shows a dash for each class."""
    row = {"n_by_split": {"train": {"normal": 1234, "pneumonia": 0}, "test": 12}}

    train, test = console_tables.split_table(row)

    assert train == {"Split": "Train", "normal": "1\u2009234", "pneumonia": "0",
                     "Images": "1\u2009234"}  # fmt: skip
    assert test == {"Split": "Test", "normal": "—", "pneumonia": "—", "Images": "12"}


def test_the_lowest_broken_rung_is_mended_first() -> None:
    """A full disk before a silent hub."""
    rows = [
        {"code": "hub_away", "well": False, "finding": "", "fix": ""},
        {"code": "disk_low", "well": False, "finding": "", "fix": ""},
        {"code": "folder", "well": True, "finding": "", "fix": ""},
    ]

    assert console_tables.first_fault(rows) == rows[1]
    assert console_tables.first_fault(rows[2:]) is None
    assert [name for name, _ in console_tables.ladder(rows)] == ["This machine", "Connected"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (600, "10 min"), (3600, "1 h"), (172_800, "2 days")]
)
def test_a_duration_is_read_at_a_glance(seconds: int, text: str) -> None:
    """No thousands of seconds."""
    assert console_card.duration(seconds) == text


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"days_left": 12, "expired": False}, "12 days left"),
        ({"days_left": 1, "expired": False}, "1 day left"),
        ({"days_left": 0, "expired": True}, "expired"),
        ({"days_left": None}, "unknown end"),
    ],
)
def test_the_days_left_are_said_in_words(row: dict[str, object], text: str) -> None:
    """An end that nobody can read is not made up."""
    assert console_words.days(row) == text
