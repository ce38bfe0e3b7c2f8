"""Every entry as a reader sees it, in groups that can be folded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from compliance.report.governance import signed
from compliance.report.log import Log
from compliance.report.story.pieces import Group, Line, text
from compliance.report.story.words import sentence

_HASH = re.compile(r"sha256:([0-9a-f]{16})[0-9a-f]{48}")


def groups(log: Log) -> tuple[Group, ...]:
    """A group for each round and one for what stands between two rounds."""
    found: list[Group] = []
    lines: list[Line] = []
    title = ""
    for line, name in _named(log):
        if name != title and lines:
            found.append(Group(_title(title, lines), tuple(lines)))
            lines = []
        title = name
        lines.append(line)
    return (*found, Group(_title(title, lines), tuple(lines)))


def _title(name: str, lines: list[Line]) -> str:
    first, last = lines[0].index, lines[-1].index
    where = f"entry {first}" if first == last else f"entries {first} to {last}"
    return f"{name}: {where}"


def _named(log: Log) -> Iterator[tuple[Line, str]]:
    """Each line with the name of its group."""
    now, before = "Before the first round", 0
    for index, event in enumerate(log.events):
        body = log.plain(index)["body"]
        if event.type == "round.opened":
            now = f"Round {body['round']}"
        yield _line(log, index, body), now
        if event.type in ("round.closed", "round.aborted", "study.stopped"):
            before = body.get("round", before)
            now = f"After round {before}" if before else "Before the first round"


def _line(log: Log, index: int, body: dict[str, Any]) -> Line:
    event, signers = log.events[index], log.signers(index)
    return Line(
        index=index,
        time=event.time,
        kind=event.type,
        sentence=text(sentence(event.type, body, event.actor or "", signers)),
        signers=tuple(signers),
        signed=signed(log, index),
        leaf=log.leaves[index].hex(),
        fields=_fields(event.type, body),
    )


def _fields(kind: str, body: dict[str, Any]) -> str:
    """The decoded statement with short hashes; whole ones stand in events.jsonl."""
    if kind in ("charter", "charter.amended"):
        return "the whole text: data/charter.json, data/events.jsonl"
    plain = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(", ", ": "))
    return _HASH.sub(r"\1…", plain).replace('"', "").removeprefix("{").removesuffix("}")
