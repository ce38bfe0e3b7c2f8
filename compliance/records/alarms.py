"""What a hospital tells the hub of an alarm: which log, by which rule, since when; no sentence.

It travels with the sign of life, so that people at other places hear of it. It is no proof: that
lies at the hospital (`consilium site evidence`).

Source: design/ledger.md §10.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter

from compliance.records.types import Record, Slug, Time

MOST = 40


class Alarm(Record):
    """A hospital believes a log no more.

    `log` is `consortium` or a study's id, `rule` the id of the rule that was broken, `at` when that
    was found; null for what is missing (`own.missing`), which has no moment.
    """

    log: Slug
    rule: Slug
    at: Time | None


ALARMS: TypeAdapter[list[Alarm]] = TypeAdapter(Annotated[list[Alarm], Field(max_length=MOST)])
"""Reads a list of them; more than forty are no list."""
