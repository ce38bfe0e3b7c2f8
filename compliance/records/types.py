"""The forms of which every record is made: hashes, decimals, times, names.

No fraction ever travels as a JSON number; an unknown key or a value of another type is refused.

Source: design/ledger.md §2.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from compliance import canonical
from compliance.errors import Malformed
from compliance.signing.keys import VerifierKey

_TIME = re.compile(r"2\d{3}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", re.ASCII)
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")
MAP_KEYS = 64
MAX_METRICS = 128


class Record(BaseModel):
    """A part of something somebody signs: frozen, no unknown key, no value bent into a type."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, protected_namespaces=()
    )

    def plain(self) -> dict[str, Any]:
        """Return the record as JSON values, ready for `canonical.encode`."""
        return self.model_dump(mode="json", by_alias=True)

    def digest(self) -> str:
        """Name the record by the hash of its canonical form."""
        return canonical.digest_of(self.plain())


def seconds_of(text: str) -> datetime:
    """Read a UTC second `YYYY-MM-DDTHH:MM:SSZ`.

    Raises:
        Malformed: another form, a year outside 2000 to 2999 (arithmetic on it could overflow), or a
            day or second that does not exist.
    """
    if not _TIME.fullmatch(text):
        raise Malformed("time", "it is not written YYYY-MM-DDTHH:MM:SSZ")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("time", "this day or second does not exist") from None


def time_text(moment: datetime) -> str:
    """Write a moment in UTC as records carry it; parts of a second are cut off."""
    if moment.tzinfo is None:
        raise Malformed("time", "it has no time zone")
    utc = moment - (moment.utcoffset() or timedelta())
    return utc.replace(tzinfo=None, microsecond=0).isoformat() + "Z"


def _time(text: str) -> str:
    try:
        seconds_of(text)
    except Malformed as error:
        raise ValueError(error.rule) from None
    return text


def _vkey(text: str) -> str:
    try:
        VerifierKey.parse(text)
    except Malformed as error:
        raise ValueError(error.rule) from None
    return text


def _readable(text: str) -> str:
    if unicodedata.normalize("NFC", text) != text:
        raise ValueError("text is not in Unicode form NFC")
    if any(unicodedata.category(mark) in _UNSEEN for mark in text):
        raise ValueError("text holds a control character or a line break")
    return text


def _whole(form: str, most: int) -> AfterValidator:
    """Match a form from the first to the very last character."""
    compiled = re.compile(form, re.ASCII)

    def check(text: str) -> str:
        if len(text) > most or not compiled.fullmatch(text):
            raise ValueError(f"it does not have the form {form}")
        return text

    return AfterValidator(check)


_SITE = r"[a-z0-9-]+(?:\.[a-z0-9-]+)+"

Sha = Annotated[str, _whole(r"sha256:[0-9a-f]{64}", 71)]
Dec = Annotated[str, _whole(r"(?!-0(?:\.0+)?\Z)-?(?:0|[1-9]\d{0,11})(?:\.\d{1,12})?", 26)]
Count = Annotated[int, Field(strict=True, ge=0, le=canonical.MAX_INTEGER)]
Time = Annotated[str, AfterValidator(_time)]
Slug = Annotated[str, _whole(r"[a-z0-9][a-z0-9_.-]{0,63}", 64)]
Site = Annotated[str, _whole(_SITE, 100), Field(min_length=3)]
Key = Annotated[str, _whole(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?/[a-z0-9-]+", 120)]
Origin = Annotated[str, _whole(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?/study/[0-9a-f]{16}", 120)]
ConsortiumOrigin = Annotated[
    str, _whole(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*(?::\d{1,5})?/consortium", 120)
]
VKeyText = Annotated[str, AfterValidator(_vkey)]
Code = Annotated[str, _whole(r"[A-Z]{2,10}:\d{3,10}", 21)]
Nonce = Annotated[str, _whole(r"[0-9a-f]{32}", 32)]
Root = Annotated[str, _whole(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=", 44)]
Coalition = Annotated[str, _whole(r"0|[1-9a-f][0-9a-f]{0,3}", 4)]
Country = Annotated[str, _whole(r"[A-Z]{2}", 2)]
Text80 = Annotated[str, Field(min_length=1, max_length=80), AfterValidator(_readable)]
Text120 = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_readable)]
Text2000 = Annotated[str, Field(max_length=2000), AfterValidator(_readable)]
Text4000 = Annotated[str, Field(min_length=1, max_length=4000), AfterValidator(_readable)]

Member = TypeVar("Member")
Word = Annotated[Member, Field(strict=False)]
"""A closed word: read from text into its enumeration, although everything else is strict."""


class Ref(Record):
    """A document that stays where it is: its short name and its hash."""

    ref: Text80
    sha256: Sha


class Who(Record):
    """The dashboard user behind a statement of the hub; the name is in the erasable directory."""

    dir: Annotated[str, _whole(r"[a-z2-7]{26}", 26)]
    amr: Annotated[list[Slug], Field(max_length=16)]
