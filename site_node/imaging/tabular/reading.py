"""A table is read: every row becomes a case, or stays out with one reason from the closed list.

Columns that the description does not name are not looked at. The file is refused as a whole where
its form is broken (no CSV, a column that is missing or stands twice, too large), because rows
could then mean something else. Messages name columns and numbers of rows, never a value.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import NotReady
from compliance.records.reasons import Quarantine
from site_node.imaging.labels import SPLIT_WORDS
from site_node.imaging.outcomes import Quarantined, Skipped
from site_node.imaging.tabular.columns import Columns
from site_node.imaging.tabular.values import person_of, place_of, values_of

MOST_BYTES = 256 << 20
MOST_ROWS = 1_000_000
MOST_HEADERS = 10_000
MOST_PATIENT = 256
NO_LABEL, EMPTY = "no_label", "empty_row"


@dataclass(frozen=True)
class Case:
    """One row that can be used; `patient` is the number as written and is kept nowhere.

    `person` has sex and age in closed words, where the description says how to tell them.
    """

    patient: str
    values: tuple[float, ...]
    label: int
    split: str | None
    person: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What a row came to: a case, or a reason (a quarantine's, or a word for a skip)."""

    row: int
    case: Case | None = None
    reason: str | None = None
    skipped: str | None = None


def read_table(path: Path, columns: Columns) -> Iterator[Outcome]:
    """Read a table row by row; rows are numbered as a spreadsheet does, the header is row 1.

    Args:
        path: a CSV file in UTF-8; comma or semicolon, whichever its header has more of.
        columns: what the columns mean.

    Raises:
        NotReady: not readable, no CSV, a column missing or twice, over a million rows.
    """
    text = _text(path)
    first = text.split("\n", 1)[0]
    mark = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        places = _places(header, columns, path)
        for number, cells in enumerate(reader, start=2):
            if number > MOST_ROWS + 1:
                raise NotReady(f"the table {path} has over a million rows.", "Split it.")
            yield _outcome(number, [cell.strip() for cell in cells], places, columns, len(header))
    except csv.Error as error:
        raise NotReady(
            f"the table {path} is no CSV ({error}).", "Save it anew as CSV UTF-8."
        ) from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise NotReady(f"the table {path} is too large.", "Split it, at most 256 MiB a file.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise NotReady(
            f"the table {path} is not UTF-8.", "Save it as CSV UTF-8, then import again."
        ) from None
    except OSError as error:
        raise NotReady(
            f"the table {path} cannot be read ({error.strerror}).", "Name a CSV file with --table."
        ) from None


def _places(header: list[str], columns: Columns, path: Path) -> dict[str, int]:
    """Where each column stands that the description names."""
    if len(header) > MOST_HEADERS:
        raise NotReady(
            f"the table {path} has over {MOST_HEADERS} columns.", "Export only those you need."
        )
    for name in columns.headers:
        if header.count(name) != 1:
            times = "no column" if name not in header else "more than one column"
            raise NotReady(
                f"the table {path} has {times} {name!r}.",
                "Correct the header, or say `named:` in the description. Nothing was imported.",
            )
    return {name: header.index(name) for name in columns.headers}


def _outcome(
    number: int, cells: list[str], places: dict[str, int], columns: Columns, width: int
) -> Outcome:
    if not any(cells):
        return Outcome(number, skipped=EMPTY)
    try:
        if len(cells) != width:
            raise Quarantined(Quarantine.ROW_NOT_WHOLE)
        return Outcome(number, _case({name: cells[at] for name, at in places.items()}, columns))
    except Quarantined as out:
        return Outcome(number, reason=out.reason.value)
    except Skipped as out:
        return Outcome(number, skipped=out.word)


def _case(cells: dict[str, str], columns: Columns) -> Case:
    patient, answer = cells[columns.patient], cells[columns.label.column]
    if not 0 < len(patient) <= MOST_PATIENT:
        raise Quarantined(Quarantine.MISSING_IDENTITY)
    if answer in columns.missing_words:
        raise Skipped(NO_LABEL)
    label, split = place_of(answer, columns.label.places), _split(cells, columns)
    values = [v for one in columns.columns for v in values_of(one, cells[one.header], columns)]
    return Case(patient, tuple(values), label, split, person_of(cells, columns))


def _split(cells: dict[str, str], columns: Columns) -> str | None:
    if columns.split is None:
        return None
    word = SPLIT_WORDS.get(cells[columns.split].lower())
    if word is None:
        raise Quarantined(Quarantine.VALUE_NOT_LISTED)
    return word
