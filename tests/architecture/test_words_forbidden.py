"""What is never promised: no page, template, message or sentence of the program says these words.

Evidence supports; whether a law is kept is for people to decide (design/compliance.md §11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("compliance", "site_node", "hub", "dashboard")
SPOKEN = (".py", ".typ", ".html", ".md", ".toml", ".json", ".yaml", ".service")
"""Kinds of files in which words for people stand: sources, templates, pages."""

SPEAKING = (
    "compliance/rules/words.py",
    "compliance/report/story/words.py",
    "compliance/report/clauses.py",
    "compliance/report/limits.py",
    "dashboard/words.py",
    "hub/services/report.typ",
    "docs/rules.md",
    "docs/commands.md",
    "docs/guides/auditor.md",
    "docker/README.md",
    "README.md",
    "CHANGELOG.md",
    "GLOSSARY.md",
)
"""Files that must be among the ones that are read: the search cannot become empty unnoticed."""

FORBIDDEN = re.compile(
    r"\b(?:GDPR|HIPAA|AI[ -]Act|EHDS|FDA)[ -]?(?:ready|proof|safe)\b"
    r"|\bcompliant\b|\bcompliance\s+scores?\b|\bcertifi(?:ed|es|cation)\b|\bguarante\w+"
    r"|\bproves?\s+that\s+the\s+data\b|\b100\s?%|\bimmutab\w+|\bblock-?chains?\b|\banonym\w+",
    re.IGNORECASE,
)


class MayStand(NamedTuple):
    """A line that may say such a word."""

    file: str
    line: str
    reason: str


ALLOWED = (
    MayStand("compliance/report/page_style.py", "html{{scroll-behavior:auto;"
               "-webkit-text-size-adjust:100%}}", "a size in a style sheet"),
    MayStand("compliance/report/page_style.py", "table{{border-collapse:collapse;width:100%;"
               "font-size:.86rem;line-height:1.45}}", "a width in a style sheet"),
    MayStand("dashboard/paper.py", "main { width: 100%; max-width: 30rem; margin: 0 auto; "
               "padding: 2rem; background: #fff;", "a width in a style sheet"),
    MayStand("dashboard/paper.py", "input { width: 100%; padding: .6rem .75rem; font: inherit; "
               "color: inherit; background: #fff;", "a width in a style sheet"),
    MayStand("dashboard/paper.py", "button, a.button { display: block; width: 100%; "
               "margin-top: 1.5rem; padding: .7rem 1rem;", "a width in a style sheet"),
    MayStand("hub/services/report.typ", "std.line(length: 100%, stroke: 0.4pt + line),",
               "a length of the page"),
    MayStand("hub/services/report.typ", "width: 100%,", "a width of the page"),
    MayStand("hub/api/logs.py", 'FOR_EVER = "private, max-age=31536000, immutable"',
               "a word of RFC 8246 for a browser's cache, shown to nobody"),
    MayStand("site_node/imaging/deid/e1_1.json", '"name":"Certified Timestamp",',
               "the name of a DICOM attribute"),
    MayStand("docs/deidentification.md", "| (0400,0310) | Certified Timestamp | OB | X | "
               "`removed` (1) | `removed` (1) |", "the name of a DICOM attribute"),
    MayStand("dashboard/words.py", "compliant: those are for people to judge. Rule sentences are "
               "those of `compliance.rules.words`.", "says that the page does not say it"),
)  # fmt: skip
"""Exceptions, each for one line of one file."""


class Hit(NamedTuple):
    """A forbidden word, where it stands."""

    file: str
    line: str
    word: str


def hits(name: str, text: str) -> Iterator[Hit]:
    """Every forbidden word of a text, also one that a line break cuts in two."""
    lines = text.splitlines()
    for match in FORBIDDEN.finditer(text):
        line = lines[text.count("\n", 0, match.start())].strip()
        yield Hit(name, line, match[0])


def read_files() -> list[Path]:
    """Sources of the four packages, the pages, and what stands beside them for people."""
    found = [path for package in PACKAGES for path in (ROOT / package).rglob("*")]
    found += [*(ROOT / "docs").rglob("*"), *(ROOT / "docker").rglob("*"), *ROOT.glob("*.md")]
    return sorted(path for path in found if path.suffix in SPOKEN and path.is_file())


@pytest.fixture(scope="module")
def found() -> list[Hit]:
    """Every forbidden word in the project."""
    return [
        hit
        for path in read_files()
        for hit in hits(str(path.relative_to(ROOT)), path.read_text("utf-8"))
    ]


def test_no_forbidden_word_is_said_anywhere(found: list[Hit]) -> None:
    """A reader is promised evidence, never a verdict on a law."""
    allowed = {(row.file, row.line) for row in ALLOWED}

    wrong = [
        f"{hit.file}: {hit.word!r} in: {hit.line}"
        for hit in found
        if (hit.file, hit.line) not in allowed
    ]

    assert not wrong, "\n".join(wrong)


def test_an_exception_that_is_no_longer_needed_is_named(found: list[Hit]) -> None:
    """The list of exceptions does not grow old: each line is still there, each has its reason."""
    seen = {(hit.file, hit.line) for hit in found}

    gone = [f"{row.file}: {row.line}" for row in ALLOWED if (row.file, row.line) not in seen]

    assert not gone, "\n".join(gone)
    assert all(row.reason for row in ALLOWED)


def test_every_file_that_speaks_to_people_is_read() -> None:
    """Words, templates, guides and the front page are among what is searched."""
    names = {str(path.relative_to(ROOT)) for path in read_files()}

    assert not set(SPEAKING) - names


@pytest.mark.parametrize(
    "sentence",
    [
        "This study is GDPR-ready.",
        "GDPR compliant",
        "Compliance\n    score: high",
        "certified by",
        "We guarantee it.",
        "It proves that the data were clean.",
        "with 100 % certainty",
        "100% safe",
        "an immutable record",
        "a Blockchain",
        "anonymous images",
        "anonymised images",
    ],
)
def test_a_forbidden_word_is_found_in_any_form(sentence: str) -> None:
    """The search can fail: also across a line break and in another spelling."""
    assert [hit.file for hit in hits("page.md", sentence)] == ["page.md"]


@pytest.mark.parametrize(
    "sentence",
    [
        "Partial evidence for GDPR Art. 30(1); none in this log; outside the system.",
        "De-identified with profile basic; the pseudonym stays in the hospital.",
        "The compliance bundle; a certificate of TLS; 10 % of the images.",
    ],
)
def test_what_may_be_said_is_not_mistaken(sentence: str) -> None:
    """The words that the pages use instead stay free."""
    assert not list(hits("page.md", sentence))
