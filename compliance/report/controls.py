"""controls.json: for each clause which evidence, at which entries, or that there is none.

Four honest answers, never a score; a status is computed, never typed.

Source: design/compliance.md §3.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Collection, Iterable
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from compliance.errors import NotProven
from compliance.records.types import Count, Record, Sha
from compliance.report import queries as ask
from compliance.report.clauses import CONTROLS as TABLE
from compliance.report.clauses import Control
from compliance.report.kinds import CONTROLS
from compliance.report.log import Files, Log
from compliance.report.write import write_csv, write_json

SCHEMA = "consilium-controls/1"
FOOT = "Evidence drawn from a signed log. Not a legal determination."
Profile = Literal["gdpr", "hipaa", "ai-act", "ehds", "part11", "device"]
PROFILES: tuple[Profile, ...] = ("ai-act", "device", "ehds", "gdpr", "hipaa", "part11")
Status = Literal["evidence", "partial", "none", "organisational", "not_selected"]
COLUMNS = ["id", "clause", "subject", "status", "query", "count", "entries", "supports", "outside"]
FILES = {
    "gdpr-30-1": ["data/privacy/ropa_art30.json"],
    "gdpr-35": ["data/privacy/dpia_inputs.json"],
    "part11-50": ["data/governance/signatures.csv"],
    "gdpr-25-32": ["data/governance/decisions.csv", "data/privacy/dp_ledger.csv"],
    "hipaa-164-312-a-2-i-d": ["data/governance/keys.csv"],
    "hipaa-164-308-a-1-ii-d": ["data/governance/reviews.csv"],
    "part11-10-b": ["data/README.html", "data/events.jsonl"],
}
"""Where a clause's evidence is laid out for people, besides the entries."""


class Found(Record):
    """One clause and what the log says to it."""

    id: str
    clause: str
    subject: str
    status: Status
    query: str
    count: Count
    entries: list[list[int]]
    files: list[str]
    supports: str
    outside: str


class Controls(Record):
    """Every clause of a bundle, and the prefix of the log that was asked."""

    schema_: Annotated[Literal["consilium-controls/1"], Field(alias="schema")]
    log: Sha
    origin: str
    size: Count
    root: str
    as_of: str
    profiles: list[Profile]
    controls: list[Found]
    note: str


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """`data/controls.json` and `data/controls.csv`.

    Args:
        log: the study's log.
        attached: where a `data/controls.json` stands, its choice of profiles is kept and nothing
            else of it; without one, all profiles are chosen.

    Raises:
        NotProven: that file names a profile that does not exist, or cannot be read.
    """
    chosen = chosen_in(attached[CONTROLS]) if CONTROLS in attached else list(PROFILES)
    found = [_found(row, log, chosen) for row in TABLE]
    told = {
        "schema": SCHEMA,
        "log": log.state.charter_id,
        "origin": log.checkpoint.origin,
        "size": log.checkpoint.size,
        "root": base64.b64encode(log.checkpoint.root).decode(),
        "as_of": log.as_of,
        "profiles": chosen,
        "controls": [row.plain() for row in found],
        "note": FOOT,
    }
    table = [
        [getattr(row, name) if name != "entries" else _ranges(row.entries) for name in COLUMNS]
        for row in found
        if row.status != "not_selected"
    ]
    return {CONTROLS: write_json(told), "data/controls.csv": write_csv(COLUMNS, table)}


def choice(profiles: Iterable[str]) -> bytes:
    """The choice of profiles as `files` takes it, for an export.

    Raises:
        NotProven: one of them does not exist.
    """
    return write_json({"profiles": _checked(profiles)})


def chosen_in(data: bytes) -> list[Profile]:
    """The profiles that a controls.json names.

    Raises:
        NotProven: it is unreadable, or names a profile that does not exist.
    """
    try:
        names = json.loads(data)["profiles"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotProven("derived", f"{CONTROLS} cannot be read") from None
    if not isinstance(names, list):
        raise NotProven("derived", f"{CONTROLS} names no list of profiles")
    return _checked(names)


def profile_of(control: str) -> Profile:
    """The profile of a clause, by its id."""
    return next(name for name in PROFILES if control.startswith(f"{name}-"))


def _checked(names: Iterable[object]) -> list[Profile]:
    asked = [str(name) for name in names]
    found = [name for name in PROFILES if name in asked]
    if not found or sorted(asked) != sorted(found):
        raise NotProven("derived", f"the profiles must be of: {', '.join(PROFILES)}")
    return found


def _found(control: Control, log: Log, chosen: Collection[str]) -> Found:
    answers = [sorted(set(part(log))) for part in control.parts]
    indices = {index for answer in answers for index in answer}
    status = _status(control, answers) if profile_of(control.id) in chosen else "not_selected"
    return Found(
        id=control.id,
        clause=control.clause,
        subject=control.subject,
        status=status,
        query=control.query,
        count=len(indices),
        entries=ask.ranges_of(indices),
        files=FILES.get(control.id, []),
        supports=control.supports,
        outside=control.outside,
    )


def _status(control: Control, answers: list[list[int]]) -> Status:
    if control.ceiling == "organisational":
        return "organisational"
    if not any(answers):
        return "none"
    complete = any(answers) if control.enough == "any" else all(answers)
    return "evidence" if complete and control.ceiling == "evidence" else "partial"


def _ranges(ranges: list[list[int]]) -> str:
    parts = (str(first) if first == last else f"{first}-{last}" for first, last in ranges)
    return " ".join(parts)


def read_controls(data: bytes) -> Controls:
    """Read a controls.json as strictly as its schema says.

    Raises:
        NotProven: a field is missing, unknown or wrong.
    """
    try:
        return Controls.model_validate(json.loads(data))
    except (ValueError, RecursionError, ValidationError):
        raise NotProven("derived", f"{CONTROLS} has another form") from None
