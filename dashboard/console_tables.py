"""What the site told, shaped for the console's pages; pure, so it can be tested without one."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dashboard import console_words as told
from dashboard import style

Plain = dict[str, Any]
MARKS = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~$:&])")
LINKS = re.compile(r"(https?\\?:|www|@)", re.IGNORECASE)
"""Where a page would make a link by itself: a space of no width follows."""
HARD = "\u00a0"
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def plain(text: object) -> str:
    """A text of somebody else, so that a page shows it and does nothing with it."""
    bare = MARKS.sub(r"\\\1", " ".join(str(text).split()))
    return LINKS.sub("\\1\u200b", bare)


def spoken(text: object) -> str:
    """A sentence of this program: what stands between backticks is something to type."""
    parts = str(text).split("`")
    if len(parts) % 2 == 0:
        return plain(text)
    return "".join(
        f"`{' '.join(part.split())}`" if number % 2 and part.strip() else _kept(part)
        for number, part in enumerate(parts)
    )


def _kept(part: str) -> str:
    """A part of a sentence, with the spaces at its ends."""
    inner = plain(part)
    left, right = part[:1].isspace(), part[-1:].isspace()
    return f"{' ' if left else ''}{inner}{' ' if right and inner else ''}"


def weight(count: int) -> str:
    """A size: bytes below a KiB, so that nothing small is called nothing."""
    return style.size(count) if count >= style.KIB else f"{style.cases(count)} bytes"


def when(text: str) -> str:
    """A time that breaks between day and hour only."""
    day, _, hour = style.moment(text).partition(", ")
    return f"{day.replace(' ', HARD)}, {hour.replace(' ', HARD)}"


def left_table(rows: Sequence[Plain]) -> list[Plain]:
    """What left for a study, by purpose."""
    return [
        {
            "What": _capital(row["what"]),
            "How often": style.cases(row["lines"]),
            "Size": weight(row["bytes"]),
        }
        for row in rows
    ]


def journal_table(rows: Sequence[Plain]) -> list[Plain]:
    """Lines of the journal."""
    return [
        {
            "When": when(row["at"]),
            "What": plain(told.line(row["kind"])),
            "Study": _study(row["study"]),
            "Rule or reason": plain(row["rule"] or style.MINUS),
            "Detail, for this hospital only": plain(detail(row["data"])) or style.MINUS,
        }
        for row in rows
    ]


def detail(data: Mapping[str, Any]) -> str:
    """The private detail of a line; long hashes short."""
    return " · ".join(f"{name.replace('_', ' ')}: {_short(value)}" for name, value in data.items())


def _short(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(_short(part) for part in value)
    text = str(value)
    return f"{text[7:19]}…" if text.startswith("sha256:") else text


def _study(name: object) -> str:
    """The first digits of a study; the consortium's own log by its name."""
    text = str(name or style.MINUS)
    return text if text.isalpha() else plain(style.short(text))


def kinds(rows: Sequence[Plain]) -> list[str]:
    """Kinds of lines that are there, by their words."""
    return sorted({told.line(row["kind"]) for row in rows})


def of_kind(rows: Sequence[Plain], kind: str | None) -> list[Plain]:
    """Lines of one kind; all of them when none is chosen."""
    if not kind:
        return list(rows)
    return [row for row in rows if told.line(row["kind"]) == kind]


def egress_table(rows: Sequence[Plain]) -> list[Plain]:
    """Lines of the ledger of what left."""
    return [
        {
            "When": when(row["at"]),
            "Why": plain(row["purpose"]),
            "Study": _study(row["study"]),
            "Size": weight(row["bytes"]),
            "SHA-256": f"{row['sha256'].removeprefix('sha256:')[:16]}…",
        }
        for row in rows
    ]


def csv_of(rows: Sequence[Plain]) -> str:
    """Rows as CSV; what a spreadsheet would take for a formula is made a text."""
    out = io.StringIO()
    names = list(rows[0]) if rows else []
    writer = csv.DictWriter(out, names, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: _cell(row[name]) for name in names} for row in rows)
    return out.getvalue()


def _cell(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value or "")
    return f"'{text}" if text.startswith(FORMULA) else text


def split_table(row: Plain) -> list[Plain]:
    """Images of a dataset by split and class, exact."""
    found = row["n_by_split"]
    classes = list(dict.fromkeys(c for n in found.values() if isinstance(n, dict) for c in n))
    table = []
    for split, count in found.items():
        told_apart = isinstance(count, dict)
        total = sum(count.values()) if told_apart else int(count)
        each = {
            plain(name): style.cases(count.get(name, 0)) if told_apart else style.MINUS
            for name in classes
        }
        table.append({"Split": _capital(split), **each, "Images": style.cases(total)})
    return table


def quality_table(row: Plain) -> list[Plain]:
    """What the import found about the images of a dataset."""
    found = row["quality"].get("findings", {})
    return [
        {"Finding": plain(_capital(name.replace("_", " "))), "Images": style.cases(count)}
        for name, count in sorted(found.items())
        if isinstance(count, int)
    ]


def quarantine_table(rows: Sequence[Plain]) -> list[Plain]:
    """What stayed out, by dataset and reason; no path, no name."""
    return [
        {
            "Dataset": plain(row["dataset"]),
            "Why": plain(told.quarantine(row["reason"])),
            "Files": style.cases(row["count"]),
            "First digits": " ".join(row["files"][:3]),
        }
        for row in rows
    ]


def ladder(checks: Sequence[Plain]) -> list[tuple[str, list[Plain]]]:
    """The doctor's findings by rung, lowest first."""
    found: dict[str, list[Plain]] = {name: [] for name in told.RUNGS}
    for row in checks:
        found[told.rung(row["code"])].append(row)
    return [(name, rows) for name, rows in found.items() if rows]


def first_fault(checks: Sequence[Plain]) -> Plain | None:
    """What to mend first."""
    for _, rows in ladder(checks):
        for row in rows:
            if not row["well"]:
                return row
    return None


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
