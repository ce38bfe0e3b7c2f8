"""Labels from a CSV file, matched exactly and by keyed value; a wrong file stops before writing.

Only class numbers are kept, and the split where the file gives one. Matching is exact after
stripping blanks, never fuzzy: patient 0012345 is not patient 12345, but when a spreadsheet ate the
zeros the sentence says so. Messages name columns, row numbers and reasons, never a value: a label
file holds patients.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from compliance.errors import NotReady
from site_node.imaging.keys import SiteKeys

Label: TypeAlias = list[int]
Rows: TypeAlias = Sequence[dict[str, str]]

KEYS = {
    "patientid": "patient",
    "studyinstanceuid": "study",
    "seriesinstanceuid": "series",
    "sopinstanceuid": "instance",
    "accessionnumber": "accession",
}
SPLIT_COLUMN = "split"
SPLIT_WORDS = {"train": "train", "validation": "validation", "val": "validation", "test": "test"}
SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}", re.ASCII)
MOST_ROWS = 1_000_000
MOST_BYTES = 512 << 20
MOST_CLASSES = 32
ZEROS = 12
TWO = 2
FIX_COLUMN = "Name the right one with --label-column."
FIX_CLASSES = "List them in order: --classes normal,pneumonia."


@dataclass(frozen=True)
class Question:
    """What the user said about the label file; None means: find out."""

    path: Path
    key: str | None = None
    column: str | None = None
    classes: str | None = None


@dataclass
class Labels:
    """Labels by the keyed value of their case.

    `of` maps a keyed value to class numbers: one for binary and multiclass, a 0 or 1 per class for
    multilabel. `splits` holds the split of each case if the file has such a column, else it is
    empty. `conflicts` are cases with two different labels or splits; `bare` are patient numbers as
    written, to find out whether a spreadsheet ate leading zeros.
    """

    kind: str
    task: str
    classes: list[str]
    of: dict[str, Label] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    conflicts: set[str] = field(default_factory=set)
    empty: int = 0
    bare: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.of) + len(self.conflicts)


def read_labels(asked: Question, keys: SiteKeys, earlier: Sequence[str] | None = None) -> Labels:
    """Read a label file.

    Args:
        asked: the file and what the user said about it.
        keys: makes the keyed values.
        earlier: classes of the dataset's newest version; they stay in force unless named anew.

    Raises:
        NotReady: the file or a column is missing, a word is no class, or there is no second class.
    """
    header, rows = _read(asked.path)
    key, kind = _key_column(header, asked.key)
    columns = _label_columns(header, asked.column, key)
    if len(columns) > 1:
        labels = Labels(kind, "multilabel", [_slug(name, name) for name in columns])
    else:
        classes = _classes(rows, columns[0], asked.classes, earlier)
        labels = Labels(kind, "binary" if len(classes) == TWO else "multiclass", classes)
    for number, row in enumerate(rows, start=2):
        _take(labels, row, key, columns, number, keys)
    return labels


def zeros_eaten(labels: Labels, keys: SiteKeys, here: set[str]) -> bool:
    """Whether a case of the file would be found here with zeros put before it."""
    for value in labels.bare[:1000]:
        for count in range(1, ZEROS + 1):
            if keys.match(labels.kind, "0" * count + value) in here:
                return True
    return False


def _read(path: Path) -> tuple[list[str], Rows]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise NotReady(f"the label file {path} is too long.", "Split it.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotReady(
            f"the label file {path} is not UTF-8.", "Save it as CSV UTF-8, then import again."
        ) from error
    except OSError as error:
        raise NotReady(
            f"the label file {path} cannot be read ({error.strerror}).",
            "Name a CSV file with --labels.",
        ) from error
    first = text.split("\n", 1)[0]
    mark = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        header = [name.strip() for name in next(reader, [])]
        rows = list(_rows(reader, header, path))
    except csv.Error as error:
        raise NotReady(f"the label file {path} is no CSV ({error}).", "Save it anew.") from error
    if not header or not rows:
        raise NotReady(f"the label file {path} has no rows.", "Add a header and one row per case.")
    return header, rows


def _rows(reader: Iterator[list[str]], header: list[str], path: Path) -> Iterator[dict[str, str]]:
    for number, cells in enumerate(reader):
        if number >= MOST_ROWS:
            raise NotReady(f"the label file {path} has over a million rows.", "Split it.")
        if any(cell.strip() for cell in cells):
            padded = [*cells, *[""] * len(header)]
            yield {name: cell.strip() for name, cell in zip(header, padded, strict=False)}


def _key_column(header: list[str], asked: str | None) -> tuple[str, str]:
    """The column that names the case; `--label-key PatientID=number` maps another name."""
    if asked:
        word, _, column = asked.partition("=")
        kind = KEYS.get(_bare(word))
        column = column or next((name for name in header if _bare(name) == _bare(word)), "")
        if kind is None or column not in header:
            raise NotReady(
                f"the label file has no column {asked!r}; its columns: {', '.join(header)}.",
                "Name PatientID, a UID or AccessionNumber: --label-key PatientID=COLUMN.",
            )
        return column, kind
    for name in header:
        if _bare(name) in KEYS:
            return name, KEYS[_bare(name)]
    raise NotReady(
        f"no column names the case; columns there: {', '.join(header)}.",
        "Call one PatientID, or say --label-key PatientID=COLUMN.",
    )


def _label_columns(header: list[str], asked: str | None, key: str) -> list[str]:
    others = [name for name in header if name not in ("", key) and not _is_split(name)]
    if asked:
        names = [name.strip() for name in asked.split(",") if name.strip()]
        missing = [name for name in names if name not in others]
        if missing or not names:
            raise NotReady(
                f"the label file has no column {', '.join(missing)}; "
                f"columns there: {', '.join(others) or 'none'}.",
                FIX_COLUMN,
            )
        return names
    usual = [name for name in others if _bare(name) in ("finding", "label", "class")]
    if len(usual) == 1 or len(others) == 1:
        return usual or others
    raise NotReady(
        f"which column holds the label is not clear; columns there: {', '.join(others) or 'none'}.",
        FIX_COLUMN,
    )


def _classes(
    rows: Rows, column: str, asked: str | None, earlier: Sequence[str] | None
) -> list[str]:
    if asked:
        classes = [_slug(word.strip(), word) for word in asked.split(",") if word.strip()]
    elif earlier:
        classes = list(earlier)
    else:
        classes = _found_classes(rows, column)
    if len(set(classes)) != len(classes) or len(classes) < TWO:
        raise NotReady(
            f"column {column} gives {len(set(classes))} class; a task needs two or more.",
            FIX_CLASSES,
        )
    return classes


def _found_classes(rows: Rows, column: str) -> list[str]:
    """The distinct words of a column; they leave in the description, so they must be plain."""
    words: set[str] = set()
    for number, row in enumerate(rows, start=2):
        word = row[column]
        if word and not SLUG.fullmatch(word):
            raise NotReady(
                f"column {column}, row {number}: the word is no class name "
                "(small letters, digits, - and _).",
                FIX_CLASSES,
            )
        words |= {word} if word else set()
        if len(words) > MOST_CLASSES:
            raise NotReady(
                f"column {column} holds over {MOST_CLASSES} different words, too many for classes.",
                f"{FIX_COLUMN} {FIX_CLASSES}",
            )
    return sorted(words)


def _slug(word: str, told: str) -> str:
    if not SLUG.fullmatch(word):
        raise NotReady(
            f"{told!r} is no class name.", "Use small letters, digits, - and _, at most 64."
        )
    return word


def _take(
    labels: Labels, row: dict[str, str], key: str, columns: list[str], number: int, keys: SiteKeys
) -> None:
    value = row[key]
    label = _label(labels, row, columns, number)
    if not value or label is None:
        labels.empty += 1
        return
    keyed, split = keys.match(labels.kind, value), _split(row, number)
    if labels.kind == "patient":
        labels.bare.append(value)
    said = labels.of.get(keyed, label), labels.splits.get(keyed, split)
    if keyed in labels.conflicts or said != (label, split):
        labels.conflicts.add(keyed)
        labels.of.pop(keyed, None)
        labels.splits.pop(keyed, None)
        return
    labels.of[keyed] = label
    if split is not None:
        labels.splits[keyed] = split


def _split(row: dict[str, str], number: int) -> str | None:
    """The split that a row gives, or None when the file gives none."""
    column = next((name for name in row if _is_split(name)), None)
    if column is None:
        return None
    if row[column].lower() not in SPLIT_WORDS:
        raise NotReady(
            f"column {column}, row {number}: the word is none of train, validation, test.",
            "Correct that cell, or leave the whole column out. Nothing was imported.",
        )
    return SPLIT_WORDS[row[column].lower()]


def _is_split(name: str) -> bool:
    return _bare(name) == SPLIT_COLUMN


def _label(labels: Labels, row: dict[str, str], columns: list[str], number: int) -> Label | None:
    words = [row[name] for name in columns]
    if not any(words):
        return None
    allowed = ["0", "1"] if labels.task == "multilabel" else labels.classes
    for name, word in zip(columns, words, strict=True):
        if word not in allowed:
            raise NotReady(
                f"column {name}, row {number}: the word is none of {', '.join(allowed)}.",
                "Correct that cell, or list all classes with --classes. Nothing was imported.",
            )
    return [allowed.index(word) for word in words]


def _bare(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())
