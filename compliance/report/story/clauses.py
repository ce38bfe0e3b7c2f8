"""Which clauses this log has evidence for, with the entries: drawn from `controls.json`.

Source: design/compliance.md §3, §11 (four honest answers, never a score).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from compliance.report.story.pieces import (
    BREAK,
    Block,
    Code,
    Entry,
    Heading,
    Inline,
    Section,
    Table,
    Text,
    Toned,
    counted,
    paragraph,
    text,
)

TITLE = "For which clauses is there evidence in this log?"
SHOWN = {
    "evidence": Toned("● evidence in this log", "good"),
    "partial": Toned("◐ partial evidence", "left"),
    "none": Toned("○ none in this log", "quiet"),
    "organisational": Toned("· outside the system", "quiet"),
}
"""Sign and words of each status; a profile that was not chosen is not printed."""

PROFILES = {
    "gdpr": "GDPR",
    "hipaa": "HIPAA",
    "ai-act": "AI Act",
    "ehds": "EHDS",
    "part11": "21 CFR Part 11",
    "device": "Medical devices",
}
RANGES = 5
"""Ranges of entries in one cell; all of them stand in controls.json."""


def section(controls: bytes) -> Section:
    """A table for each profile that was chosen.

    Args:
        controls: the bytes of `data/controls.json`.
    """
    told = json.loads(controls)
    rows = [row for row in told["controls"] if row["status"] in SHOWN]
    tally = Counter(row["status"] for row in rows)
    parts = [f"{SHOWN[status].text[2:]} {tally[status]}" for status in SHOWN if tally[status]]
    blocks: list[Block] = [
        paragraph(
            f"{counted(len(rows), 'clause')} looked up in this log: {'; '.join(parts)}. It reads "
            "evidence only where every part of its question found something; what lies outside "
            "is said beside it. Whether a law is kept is for people to decide.",
        ),
        *_profiles(rows),
        paragraph("All ranges of entries: ", Code("data/controls.json"), "."),
    ]
    return Section("clauses", TITLE, tuple(blocks))


def _profiles(rows: list[dict[str, Any]]) -> Iterator[Block]:
    for profile, name in PROFILES.items():
        found = [row for row in rows if str(row["id"]).startswith(f"{profile}-")]
        if found:
            yield Heading(name)
            yield Table(
                f"Clauses of {name}",
                ("Clause", "What the log shows", "Entries", "Supports", "Outside this log"),
                (23, 15, 14, 24, 24),
                tuple(_row(row) for row in found),
            )


def _row(row: dict[str, Any]) -> tuple[Text, ...]:
    return (
        text(Toned(row["clause"], "strong"), BREAK, row["subject"]), text(SHOWN[row["status"]]),
        _entries(row["entries"]), text(row["supports"]), text(row["outside"]),
    )  # fmt: skip


def _entries(ranges: list[list[int]]) -> Text:
    if not ranges:
        return (Toned("none", "quiet"),)
    parts: list[Inline] = []
    for first, last in ranges[:RANGES]:
        parts += [", "] if parts else []
        parts += [Entry(first)] if first == last else [Entry(first), " to ", Entry(last)]
    rest = len(ranges) - RANGES
    return (*parts, f" and {counted(rest, 'more range')}") if rest > 0 else tuple(parts)
