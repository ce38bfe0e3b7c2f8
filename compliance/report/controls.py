"""controls.json: for each clause which evidence, at which entries, or that there is none.

Four honest answers, never a score; a status is computed, never typed.

Source: design/compliance.md §3.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection, Iterable
from fnmatch import fnmatchcase
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field

from compliance.errors import ConsiliumError, NotProven, NotReady
from compliance.records.types import Record
from compliance.report.clauses import CONTROLS as TABLE
from compliance.report.clauses import Control
from compliance.report.exchange.released import released_models
from compliance.report.kinds import CONTROLS
from compliance.report.log import Files, Log
from compliance.report.privacy import STATEMENT
from compliance.report.queries import QUESTIONS, ranges_of
from compliance.report.registered import registered
from compliance.report.write import write_csv, write_json

Profile = Literal["gdpr", "hipaa", "ai-act", "ehds", "part11", "device"]
PROFILES: tuple[Profile, ...] = ("ai-act", "device", "ehds", "gdpr", "hipaa", "part11")
Status = Literal["evidence", "partial", "none", "organisational", "not_selected"]
Index = Annotated[int, Field(ge=0)]
COLUMNS = ["id", "clause", "subject", "status", "query", "count", "entries", "files", "supports",
           "outside"]  # fmt: skip
Answer = Callable[[str], frozenset[int]]
Answers = dict[str, frozenset[int]]
OF_A_MODEL = ("modelcard.md", "modelcard.chai.xml", "bom.cdx.json")


class Found(Record):
    """One clause and what the log says to it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)+$")]
    clause: str
    subject: str
    status: Status
    query: Annotated[str, Field(description="`a + b` looks for both, `a | b` for any of them")]
    count: Annotated[Index, Field(description="how many entries were found")]
    entries: Annotated[
        list[Annotated[list[Index], Field(min_length=2, max_length=2)]],
        Field(description="ranges of entries, the first and the last of each; all of them"),
    ]
    files: Annotated[list[str], Field(description="where this bundle lays the evidence out")]
    supports: Annotated[str, Field(description="what the system does about the clause")]
    outside: Annotated[str, Field(description="what the log cannot say, or does not hold")]


class Controls(Record):
    """What a study's log holds for each clause of the chosen profiles."""

    schema_: Annotated[Literal["consilium-controls/1"], Field(alias="schema")]
    log: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="charter id")]
    origin: str
    size: Index
    root: Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]{43}=$")]
    as_of: Annotated[str, Field(description="time of the newest cosignature")]
    profiles: Annotated[list[Profile], Field(min_length=1, max_length=len(PROFILES))]
    controls: list[Found]
    statement: str


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """`data/controls.json` and `data/controls.csv`.

    Args:
        log: the study's log.
        attached: where a `data/controls.json` stands, its choice of profiles is kept and nothing
            else of it; else the choice of the consortium's agreement, if that came along and names
            profiles of ours; else all of them.

    Raises:
        NotProven: that file names a profile that does not exist, or cannot be read.
    """
    kept = chosen_in(attached[CONTROLS]) if CONTROLS in attached else None
    chosen = kept or _agreed(attached) or list(PROFILES)
    here = _named_files(log, attached)

    @cache
    def answer(question: str) -> frozenset[int]:
        return frozenset(QUESTIONS[question].ask(log, attached))

    told = Controls(
        schema_="consilium-controls/1",
        log=log.state.charter_id,
        origin=log.checkpoint.origin,
        size=log.checkpoint.size,
        root=base64.b64encode(log.checkpoint.root).decode(),
        as_of=log.as_of,
        profiles=chosen,
        controls=[
            _found(row, answer if profile_of(row.id) in chosen else None, here) for row in TABLE
        ],
        statement=STATEMENT,
    )
    asked = [row for row in told.controls if row.status != "not_selected"]
    table = ([_cell(row, name) for name in COLUMNS] for row in asked)
    return {CONTROLS: write_json(told.plain()), "data/controls.csv": write_csv(COLUMNS, table)}


def choice(profiles: Iterable[str]) -> bytes:
    """The choice of profiles as `files` takes it, for an export.

    Raises:
        NotReady: one of them does not exist, stands twice, or there is none.
    """
    asked = list(profiles)
    found = _known(asked)
    if not found or sorted(found) != sorted(asked):
        raise NotReady(
            f"{', '.join(asked) or 'nothing'} is no choice of profiles.",
            f"Choose of: {', '.join(PROFILES)}.",
        )
    return write_json({"profiles": found})


def recorded(profiles: Iterable[str]) -> dict[str, bytes]:
    """A choice as an attachment of a bundle, by path below `data/`; nothing, if none was made.

    Raises:
        NotReady: as `choice`.
    """
    asked = list(profiles)
    return {CONTROLS.removeprefix("data/"): choice(asked)} if asked else {}


def chosen_in(data: bytes) -> list[Profile]:
    """The profiles that a controls.json names.

    Raises:
        NotProven: it is unreadable, or does not name profiles of ours.
    """
    try:
        names = json.loads(data)["profiles"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NotProven("derived", f"{CONTROLS} cannot be read") from None
    found = _known(names)
    if not found or names != found:
        raise NotProven("derived", f"{CONTROLS} does not name profiles in their order")
    return found


def profile_of(control: str) -> Profile:
    """The profile of a clause, by its id."""
    return next(name for name in PROFILES if control.startswith(f"{name}-"))


def schema() -> dict[str, Any]:
    """The form of controls.json as JSON Schema 2020-12, for foreign readers."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return head | Controls.model_json_schema(by_alias=True)


def _known(names: object) -> list[Profile]:
    return [name for name in PROFILES if isinstance(names, list) and name in names]


def _agreed(attached: Files) -> list[Profile]:
    """What the newest agreement of the consortium chose."""
    chosen: object = []
    try:
        for entry in registered(attached):
            body = entry.body.get("agreement", entry.body)
            if entry.kind in ("agreement", "agreement.amended") and isinstance(body, dict):
                chosen = body.get("profiles")
    except ConsiliumError:
        return []
    return _known(chosen)


def _found(control: Control, answer: Answer | None, here: Collection[str]) -> Found:
    """Ask the log; without `answer` the clause's profile was not chosen, and nothing is asked."""
    answers = {part: answer(part) if answer else frozenset[int]() for part in control.parts}
    indices = {index for answer in answers.values() for index in answer}
    status = _status(control, answers) if answer else "not_selected"
    shown = [path for pattern in control.files for path in here if fnmatchcase(path, pattern)]
    return Found(
        id=control.id,
        clause=control.clause,
        subject=control.subject,
        status=status,
        query=control.query,
        count=len(indices),
        entries=ranges_of(indices),
        files=shown if indices else [],
        supports=control.supports,
        outside=_outside(control, status, answers),
    )


def _status(control: Control, answers: Answers) -> Status:
    if control.ceiling == "organisational":
        return "organisational"
    if not any(answers.values()):
        return "none"
    enough = any if control.any_suffices else all
    return "evidence" if enough(answers.values()) and control.ceiling == "evidence" else "partial"


def _outside(control: Control, status: Status, answers: Answers) -> str:
    """What the log cannot say; where a part of the evidence is missing, which."""
    missing = [QUESTIONS[part].words for part in control.parts if not answers[part]]
    if status != "partial" or control.any_suffices or not missing:
        return control.outside
    return f"{control.outside} None in this log: {', '.join(missing)}.".strip()


def _named_files(log: Log, attached: Files) -> list[str]:
    """Files of this bundle that a row may name, besides those that every bundle has."""
    always = {path for row in TABLE for path in row.files if "*" not in path}
    sites = {site for _, body in log.charters() for site in body.site_names()}
    models = [model.folder for model in released_models(log, attached)]
    made = [f"data/sites/{site}/disclosures.csv" for site in sites]
    made += [f"{folder}/{name}" for folder in models for name in OF_A_MODEL]
    return sorted({*always, *made, *attached})


def _cell(row: Found, name: str) -> Any:
    if name == "entries":
        pairs = row.entries
        return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in pairs)
    return " ".join(row.files) if name == "files" else getattr(row, name)
