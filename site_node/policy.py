"""The site's own policy, `<home>/policy.yaml`: what this hospital allows at most.

It can only tighten: the stricter of settings, policy and charter counts, and a line that is looser
than the settings is refused, for its writer thought that it would hold. Everything in it is asked
before a dataset is touched. A file that cannot be read allows nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Hashable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from compliance.errors import NotReady

FILE = "policy.yaml"
MOST = 1 << 16
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES = 24 * 60
_WINDOW = re.compile(r"(?:([a-z,-]+) )?(\d{2}):([0-5]\d)-(\d{2}):([0-5]\d)")

Use = Literal["GRU", "HMB", "DS", "POA", "MDS"]
Number = Annotated[int, Field(strict=True, ge=1)]


class Window(NamedTuple):
    """Hours of a day, in minutes after midnight; one that ends before it begins goes past it."""

    days: frozenset[int]
    begins: int
    ends: int

    def open_at(self, local: datetime) -> bool:
        """Whether a moment of local time lies within."""
        day, minute = local.weekday(), local.hour * 60 + local.minute
        if self.begins < self.ends:
            return day in self.days and self.begins <= minute < self.ends
        late = day in self.days and minute >= self.begins
        return late or ((day - 1) % 7 in self.days and minute < self.ends)


class SitePolicy(BaseModel):
    """What this hospital allows at most; a line that is not there leaves it to the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purposes: Annotated[tuple[Use, ...], Field(min_length=1)] | None = Field(
        None, description="Purposes (DUO: GRU HMB DS POA MDS) that a charter may have."
    )
    for_profit: bool = Field(
        default=True, strict=True, description="`false` refuses charters for profit or trade."
    )
    families: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None, description="Recipe families that may be trained here."
    )
    min_examples: Number | None = Field(None, description="Fewest training cases of an update.")
    min_cell: Number | None = Field(None, description="Smallest count a metric may show.")
    answer_counts: bool | None = Field(
        None,
        strict=True,
        description="`no` answers no question how many patients are here, whatever site.toml says.",
    )
    max_rounds: Number | None = Field(None, description="Most rounds of a study.")
    max_epsilon: Decimal | None = Field(
        None,
        gt=0,
        description="Largest privacy budget of a charter, and of all studies together on the same "
        "patients; a study without noise has no bound and is refused.",
    )
    hours: Annotated[tuple[str, ...], Field(min_length=1)] | None = Field(
        None,
        description="When data may be worked on, such as `mon-fri 19:00-06:00` or `sat,sun "
        "00:00-24:00`.",
    )
    time_zone: str = Field("UTC", description="Zone of the hours, such as `Europe/Stockholm`.")
    threads: Number | None = Field(None, description="Most processor threads for training.")
    memory_mb: Number | None = Field(None, description="Most memory of training in MB.")
    gpus: Annotated[int, Field(strict=True, ge=0)] | None = Field(
        None, description="Most graphics processors that training may see; 0 hides all."
    )

    @field_validator("hours")
    @classmethod
    def _read_hours(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for text in value or ():
            window_of(text)
        return value

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone {value!r} is known on this machine") from None
        return value

    def open_at(self, now: datetime) -> bool:
        """Whether data may be worked on at this moment."""
        local = now.astimezone(ZoneInfo(self.time_zone))
        return self.hours is None or any(window_of(text).open_at(local) for text in self.hours)

    def said(self) -> dict[str, str]:
        """What the file says, for people: only lines that are there."""
        return {name: _words(getattr(self, name)) for name in sorted(self.model_fields_set)}


NOTHING_SAID = SitePolicy()
"""No file: the settings alone count."""


def window_of(text: str) -> Window:
    """Read hours such as `mon-fri 19:00-06:00`; without days, every day.

    Raises:
        ValueError: another form, an unknown day, or hours that do not exist or are none.
    """
    found = _WINDOW.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not written like 'mon-fri 19:00-06:00'")
    days, *clock = found.groups()
    hour, minute, last_hour, last_minute = (int(part) for part in clock)
    begins, ends = hour * 60 + minute, last_hour * 60 + last_minute
    if begins >= DAY_MINUTES or ends > DAY_MINUTES or begins == ends:
        raise ValueError(f"{text!r} names hours that a day does not have, or none")
    return Window(_days(days), begins, ends)


def _days(text: str | None) -> frozenset[int]:
    found: set[int] = set()
    for part in (text or "mon-sun").split(","):
        first, _, last = part.partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{part!r} is no day; days are {' '.join(DAYS)}")
        span = (DAYS.index(last or first) - DAYS.index(first)) % 7
        found |= {(DAYS.index(first) + step) % 7 for step in range(span + 1)}
    return frozenset(found)


def read_policy(home: Path) -> SitePolicy:
    """Read the policy of a home; without a file nothing is said.

    Raises:
        NotReady: it cannot be read, is empty, says something twice, or has an unknown or impossible
            line.
    """
    path = home / FILE
    if not os.path.lexists(path):
        return NOTHING_SAID
    try:
        if path.stat().st_size > MOST:
            raise _broken(path, "it is too long")
        plain = yaml.load(path.read_text(encoding="utf-8"), _Once)  # noqa: S506 - a SafeLoader
        if not isinstance(plain, dict):
            raise _broken(path, "it is empty or no list of names with values")
        return SitePolicy.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "it"
        raise _broken(path, f"{name}: {first['msg']}") from error
    except (OSError, UnicodeDecodeError, ValueError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "problem", None) or error
        raise _broken(path, str(reason)) from error


def _broken(path: Path, reason: str) -> NotReady:
    return NotReady(
        f"the site's policy {path} is not usable: {reason}.",
        "Correct that line; see the hospital's guide. Until then nothing is trained here.",
    )


class _Once(yaml.SafeLoader):
    """Refuses a name that stands twice: the looser of the two could be the one that is read."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - as the library calls it
        names = [self.construct_object(key) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there twice")
        return super().construct_mapping(node, deep)


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
