"""The front of the report: one sentence on top, who witnessed how much, who, what and when."""

from __future__ import annotations

from compliance.report.log import Log
from compliance.report.manifest import root_text
from compliance.report.story.pieces import (
    Code,
    Entry,
    Facts,
    Text,
    Toned,
    counted,
    listed,
    text,
)
from compliance.report.story.words import STATES, moment

FEW = 8
"""So many names fit into a sentence."""


def lead(log: Log) -> Text:
    """Who took part, on top and not in a table."""
    closed, sites = log.state.rounds_closed, log.state.charter.site_names()
    if not closed:
        return text(f"No model yet: no round is closed. {_named(len(sites))}.")
    taught = {site for row in closed for site in row.used}
    words = f"Trained on {len(taught)} of {counted(len(sites), 'hospital')} in "
    rounds = Entry(closed[-1].index, counted(len(closed), "round"))
    return text(words, rounds, *_absent(log, sorted(set(sites) - taught)))


def _few(names: list[str], one: str, many: str, where: str) -> str:
    """Names as in a sentence; of many, their number and where they stand."""
    if len(names) <= FEW:
        return listed(names)
    return f"{counted(len(names), one, many)}, named {where}"


def _named(number: int) -> str:
    return f"The charter names {counted(number, 'hospital')}"


def _absent(log: Log, absent: list[str]) -> Text:
    if not absent:
        return (".",)
    return (f". No update of {listed(absent)} is in any model.",)


def banner(log: Log) -> tuple[Text, ...]:
    """Size, root, witnesses; as a reader would write them down."""
    needed, witnesses = log.state.charter.quorum.k, len(log.state.charter.quorum.witnesses)
    size, root = str(log.checkpoint.size), Code(root_text(log.checkpoint))
    names = _few(sorted(log.times), "witness", "witnesses", "in the table of signatures")
    known = witnesses + len(log.state.charter.quorum.external)
    return (
        text("Log of ", Toned(counted(int(size), "entry", "entries"), "strong"), ", root ", root),
        text(
            "Witnessed by ", Toned(names, "strong"), f"; latest {moment(log.as_of)}. "
            f"Asked for: {needed} of {known} witnesses.",
        ),
    )  # fmt: skip


def facts(log: Log) -> Facts:
    """Who, what, when: the cover of the report."""
    charter, state = log.state.charter, log.state
    named = [f"{row.controller} ({row.site})" for row in charter.legal.sites]
    hospitals = _few(named, "hospital", "hospitals", "in section 2 with their legal basis")
    rows = (
        ("Study", text(Code(log.checkpoint.origin))),
        ("Charter", text(Entry(0, "entry 0"), ", ", Code(state.charter_id))),
        ("Hospitals", text(hospitals)),
        ("Researcher", text(Code(charter.researcher.partition("+")[0]))),
        ("Hub", text(Code(charter.hub_key.partition("+")[0]), *_processor(log))),
        ("First entry", text(moment(log.events[0].time), ", claimed by its signers")),
        ("Newest entry", text(*_newest(log))),
        ("Where it stands", text(*_standing(log))),
        ("Charter in force", text(f"{moment(charter.starts)} to {moment(charter.expires)}")),
        ("Records kept until", text(moment(charter.retention_until))),
    )
    return Facts(rows)


def _processor(log: Log) -> Text:
    name = log.state.charter.legal.processor
    return (f", processor: {name}",) if name else ()


def _newest(log: Log) -> Text:
    last = len(log.events) - 1
    return (moment(log.events[last].time), " (", Entry(last, f"entry {last}"), ")")


def _standing(log: Log) -> Text:
    state = log.state
    done, agreed = len(state.rounds_closed), state.charter.max_rounds
    return (
        f"The study is {STATES[str(state.phase)]}; {done} of at most {agreed} rounds gave a model",
    )
