"""What a table's columns mean: names, kinds, units, ranges, words; the import recipe of a table.

Two hospitals whose columns have the same names, kinds, units and words in the same order make
comparable tables, whatever their own files call them: that is `features_id`, and a training recipe
names it. What decides which rows stay out (ranges, how missing values are treated) is part of
`sha256` as well, which stands in the dataset's description.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from compliance.canonical import digest_of
from compliance.errors import NotReady
from compliance.records.counts import BodyPart
from compliance.records.linear import MOST_INPUTS
from site_node.imaging.recipe import SplitShares

MOST = 1 << 20
SHOWN = 16
SLUG = r"^[a-z0-9][a-z0-9_.-]{0,63}$"
UNIT = r"^[A-Za-z0-9\[\]{}/*.%^_-]{1,24}$"

NUMBER = re.compile(r"[+-]?(\d{1,20}(\.\d{0,20})?|\.\d{1,20})([eE][+-]?\d{1,3})?", re.ASCII)
LONGEST = 64

Name = Annotated[str, Field(pattern=SLUG)]
Words = Annotated[tuple[str, ...], Field(min_length=1, max_length=64)]


class Closed(BaseModel):
    """Frozen, and no unknown word; numbers may stand where text is meant."""

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)


class Level(Closed):
    """One value of a category, and how the file writes it."""

    name: Name
    words: Words


def _level(told: Any) -> Any:
    """A word alone is a level of this name, written so."""
    return told if isinstance(told, dict) else {"name": str(told), "words": [str(told)]}


Levels = Annotated[
    tuple[Annotated[Level, BeforeValidator(_level)], ...], Field(min_length=2, max_length=64)
]


class Column(Closed):
    """One column: a number with unit and range, or a category with its closed list of values.

    `named` is what the file's header calls it. `missing: out` leaves a row without a value out;
    `fill` puts this hospital's mean of the training cases in its place.
    """

    name: Name
    kind: Literal["number", "category"]
    named: str | None = Field(None, min_length=1, max_length=200)
    unit: str | None = Field(None, pattern=UNIT)
    low: float | None = None
    high: float | None = None
    values: Levels | None = None
    missing: Literal["out", "fill"] = "out"

    @model_validator(mode="after")
    def _says_what_its_kind_needs(self) -> Column:
        numbers = (self.low, self.high)
        if self.kind == "category":
            if self.values is None or numbers != (None, None) or self.unit is not None:
                raise ValueError("a category has values, and neither unit nor range")
            _each_once(self.values)
        elif self.values is not None or self.unit is None or None in numbers:
            raise ValueError("a number has a unit, low and high, and no values")
        elif not self._range_is_sound():
            raise ValueError("low and high must be finite numbers, the lower one first")
        return self

    def _range_is_sound(self) -> bool:
        low, high = float(self.low or 0), float(self.high or 0)
        return math.isfinite(low) and math.isfinite(high) and low < high

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Every word of a category and the place of its level."""
        return _places(self.values or ())

    @property
    def header(self) -> str:
        """What the file calls it."""
        return self.named or self.name

    @property
    def width(self) -> int:
        """Values of a case that come of it: one, or one for each level but the first."""
        return 1 if self.values is None else len(self.values) - 1

    def meaning(self) -> list[Any]:
        """What makes two hospitals' columns the same."""
        return [self.name, self.kind, self.unit, [level.name for level in self.values or ()]]

    def plain(self) -> dict[str, Any]:
        """Every word; numbers are written as text."""
        told = self.model_dump(mode="json")
        return told | {name: _text(told[name]) for name in ("low", "high")}


class LabelColumn(Closed):
    """The column with the answer, and the classes in order."""

    column: str = Field(min_length=1, max_length=200)
    classes: Levels

    @model_validator(mode="after")
    def _classes_once(self) -> LabelColumn:
        _each_once(self.classes)
        return self

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Every word of the file and the number of its class."""
        return _places(self.classes)


class SexColumn(Closed):
    """The column with the sex, and how the file writes both words; every other word is unknown."""

    column: str = Field(min_length=1, max_length=200)
    female: Words
    male: Words

    @model_validator(mode="after")
    def _words_once(self) -> SexColumn:
        if len(self.places) != len(self.female) + len(self.male):
            raise ValueError("a word stands twice")
        return self

    @cached_property
    def places(self) -> Mapping[str, str]:
        """Every word of the file, as `female` or `male`."""
        said = {"female": self.female, "male": self.male}
        return {word_of(word): name for name, words in said.items() for word in words}


class GroupColumns(Closed):
    """By which columns results may be told apart; they may stand among `columns` or not.

    `age` names a column with years. No value that is unknown here keeps a row out.
    """

    sex: SexColumn | None = None
    age: str | None = Field(None, min_length=1, max_length=200)

    @property
    def headers(self) -> list[str]:
        """The columns of the file that are read for it."""
        named = (self.sex.column if self.sex else None, self.age)
        return [name for name in named if name is not None]


class Columns(Closed):
    """A whole description.

    `patient` names the column with the patient's number, `issuer` who gave it (as DICOM's
    IssuerOfPatientID, so that tables and images of a patient get one pseudonym). `split` names a
    column with train, validation, test; without it patients are divided by a keyed hash.
    `groups` names the columns by which results may be told apart.
    """

    patient: str = Field(min_length=1, max_length=200)
    issuer: str = Field("", max_length=64)
    label: LabelColumn
    split: str | None = Field(None, min_length=1, max_length=200)
    body_part: BodyPart = "unknown"
    columns: tuple[Column, ...] = Field(min_length=1, max_length=MOST_INPUTS)
    missing_words: tuple[str, ...] = Field(("",), max_length=16)
    decimal: Literal[".", ","] = "."
    several_rows: bool = False
    groups: GroupColumns | None = None
    shares: SplitShares = SplitShares()

    @model_validator(mode="after")
    def _names_once(self) -> Columns:
        for names in ([one.name for one in self.columns], self._meant):
            if len(set(names)) != len(names):
                raise ValueError("a column is named twice")
        if self.width > MOST_INPUTS:
            raise ValueError(f"the columns give over {MOST_INPUTS} values a case")
        return self

    @property
    def headers(self) -> list[str]:
        """Every column of the file that is read."""
        return list(dict.fromkeys(self._meant + (self.groups.headers if self.groups else [])))

    @property
    def _meant(self) -> list[str]:
        """The columns of the file that may mean one thing only."""
        wanted = [self.patient, self.label.column, *([self.split] if self.split else [])]
        return wanted + [one.header for one in self.columns]

    @property
    def width(self) -> int:
        """Values of one case."""
        return sum(column.width for column in self.columns)

    @property
    def task(self) -> dict[str, Any]:
        """Kind and classes, as a dataset's description says them."""
        classes = [level.name for level in self.label.classes]
        return {"kind": "binary" if len(classes) == 2 else "multiclass", "classes": classes}  # noqa: PLR2004 - two

    @property
    def features_id(self) -> str:
        """`table-` and 16 hex digits: what a training recipe calls these columns."""
        digest = digest_of([column.meaning() for column in self.columns])
        return f"table-{digest.removeprefix('sha256:')[:SHOWN]}"

    @property
    def sha256(self) -> str:
        """Names the whole description."""
        told = self.model_dump(mode="json") | {"columns": [one.plain() for one in self.columns]}
        told["shares"] = {name: repr(share) for name, share in told["shares"].items()}
        if self.groups is None:
            del told["groups"]  # descriptions of earlier releases keep their names
        return digest_of(told)


def read_columns(path: Path | None) -> Columns:
    """Read a description from YAML or JSON.

    Raises:
        NotReady: none is named, not readable, an unknown word or an impossible number.
    """
    if path is None:
        raise NotReady(
            "a table needs a description of its columns.",
            "Name a YAML file with --recipe; docs/examples/heart-columns.yaml says every word.",
        )
    try:
        if path.stat().st_size > MOST:
            raise NotReady(f"the description {path} is too long.", "Name the right file.")
        return Columns.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(str(part) for part in first["loc"]) or "it"
        finding = f"the description {path} is not usable: {name}: {first['msg']}."
        raise NotReady(finding, "Correct that line, then import again.") from None
    except (OSError, UnicodeDecodeError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        finding = f"the description {path} cannot be read ({reason})."
        raise NotReady(finding, "Name a YAML or JSON file with --recipe.") from None


def _each_once(levels: tuple[Level, ...]) -> None:
    words = [word_of(word) for one in levels for word in one.words]
    for said in ([one.name for one in levels], words):
        if len(set(said)) != len(said):
            raise ValueError("a value stands twice")


def word_of(text: str) -> str:
    """Write a whole number in one way (`1.0` is `1`); every other word is taken as it is."""
    word = text.strip()
    if len(word) <= LONGEST and NUMBER.fullmatch(word) and float(word).is_integer():
        return str(int(float(word)))
    return word


def _places(levels: tuple[Level, ...]) -> dict[str, int]:
    return {word_of(word): place for place, one in enumerate(levels) for word in one.words}


def _text(number: float | None) -> str | None:
    return None if number is None else repr(number)
