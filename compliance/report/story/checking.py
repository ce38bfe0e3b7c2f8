"""Is the record complete, and how does a stranger check it; what this does not prove."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from compliance.report.limits import LIMITS
from compliance.report.log import Log
from compliance.report.manifest import root_text
from compliance.report.story.pieces import (
    Block,
    Code,
    Heading,
    Inline,
    Items,
    Paragraph,
    Section,
    Table,
    Text,
    Toned,
    listed,
    paragraph,
    text,
)
from compliance.rules.policies import policy_in_force

_MARK = re.compile(r"(\d+\.|[-*]|#+) ")
CLOSING = "Evidence drawn from a signed log. Not a legal determination."


def section(log: Log) -> Section:
    """Five numbers to compare by hand, then the same by program."""
    quorum = log.state.charter.quorum
    witnesses = [*quorum.witnesses, *(row.name for row in quorum.external)]
    blocks: list[Block] = [
        paragraph(
            "The log is a tree of hashes: whoever changes, removes or inserts an entry gets "
            "another root. The witnesses cosigned this size and root after they had repeated every "
            "rule on every entry. So two readers who hold the same five numbers hold the same "
            "record.",
        ),
        Heading("Five numbers to check by hand"),
        paragraph(
            "Ask a hospital that you trust, by telephone or on paper, for the first four. The "
            "fifth cannot stand in a file that the manifest itself covers.",
        ),
        Table(
            "Five numbers to check by hand",
            ("Number", "Value", "Where it stands"),
            (17, 52, 31),
            (
                (text("1 Charter id"), text(Code(log.state.charter_id)),
                 text("SHA-256 of the text of entry 0, without signatures")),
                (text("2 Size"), text(Code(str(log.checkpoint.size))),
                 text(Code("data/log/checkpoint"), ", line 2")),
                (text("3 Root"), text(Code(root_text(log.checkpoint)), " (base64)"),
                 text(Code("data/log/checkpoint"), ", line 3")),
                (text("4 Quorum"), text(f"{quorum.k} of {len(witnesses)}: {listed(witnesses)}"),
                 text("the policy file of a hospital; cosigned here by ",
                      listed(sorted(log.times)))),
                (text("5 Manifest hash"),
                 text("read it from ", Code("manifest.note"), ", line 5"),
                 text("SHA-256 of ", Code("manifest-sha512.txt"), ", signed by the exporter")),
            ),
        ),
        Heading("By program, without us"),
        Items(tuple(_steps()), numbered=True),
        Heading("Who must have cosigned"),
        paragraph(
            "A copy of the policy, to compare with the one you were given; the copy in a bundle "
            "counts for nothing.",
        ),
        Items(tuple(_policy(log))),
    ]  # fmt: skip
    title = "Is the record complete and unaltered, and how do I check without you?"
    return Section("check", title, tuple(blocks))


def _steps() -> Iterator[Text]:
    yield text("Get the policy file from a hospital that you trust, not from this bundle.")
    yield text("Install the base package; it needs no network: ", Code("consilium audit --help"))
    yield text("Run ", Code("consilium audit verify BUNDLE.zip --policy FILE --charter ID"),
               ". It prints each step with its clause, and ends with 0 (verified), 1 (refuted) or "
               "2 (cannot tell).")  # fmt: skip
    yield text(
        "Any program that reads C2SP signed notes and tlog-tiles can check the same: ",
        Code("data/log/"), ". ", Code("sha512sum -c manifest-sha512.txt"), " checks the files.",
    )  # fmt: skip


def _policy(log: Log) -> Iterator[Text]:
    for line in policy_in_force(log.state).splitlines():
        if line:
            yield text(Code(line))


def limits(source: str = LIMITS) -> Section:
    """The text of LIMITS.md, drawn like everything else."""
    blocks = list(_limits(source))
    return Section("limits", "What this does not prove", tuple(blocks))


def _limits(source: str) -> Iterator[Block]:
    """Headings, lists and paragraphs of a simple Markdown text."""
    for kind, group in groupby(_parts(source), key=lambda part: part[0]):
        found = [words for _, words in group]
        if kind in ("numbered", "bullet"):
            yield Items(tuple(inline(words) for words in found), numbered=kind == "numbered")
        elif kind == "heading":
            yield from (Heading(words) for words in found)
        else:
            yield from (Paragraph(inline(words)) for words in found)


def _parts(source: str) -> Iterator[tuple[str, str]]:
    """Kind and words of each part; a line that begins nothing goes on with the one before."""
    lines: list[str] = []
    for line in [*source.splitlines(), ""]:
        begins = _MARK.match(line) or (lines and lines[0].startswith("#"))
        if (begins or not line.strip()) and lines:
            yield from _part(" ".join(lines))
            lines = []
        if line.strip():
            lines.append(line.strip())


def _part(words: str) -> Iterator[tuple[str, str]]:
    mark, _, rest = words.partition(" ")
    if words == CLOSING or mark == "#":
        return
    if not _MARK.match(words):
        yield "paragraph", words
    elif mark.startswith("#"):
        yield "heading", rest
    else:
        yield "numbered" if mark.endswith(".") else "bullet", rest


def inline(words: str) -> Text:
    """Words with `code` and **strong** parts."""
    found: list[Inline] = []
    for part in re.split(r"(`[^`]+`|\*\*[^*]+\*\*)", words):
        if part.startswith("`"):
            found.append(Code(part.strip("`")))
        elif part.startswith("**"):
            found.append(Toned(part.strip("*"), "strong"))
        elif part:
            found.append(part)
    return tuple(found)
