"""Who decided? Every signature with its name, time and meaning, and what changed on the way.

Source: design/compliance.md §10.3 (21 CFR 11.50).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compliance.report.governance import signatures, signed
from compliance.report.log import Files, Log
from compliance.report.people import names
from compliance.report.story.pieces import (
    NONE,
    Block,
    Code,
    Entry,
    Heading,
    Paragraph,
    Section,
    Table,
    Text,
    clean,
    counted,
    paragraph,
    text,
)
from compliance.report.story.words import moment, sentence

MOST = 400
"""Rows of one table; the whole one is a file of the bundle."""

CHANGES = (
    "charter.amended", "site.joined", "site.withdrawn", "site.limited", "dataset.reduced",
    "dataset.withdrawn", "study.stopped", "study.resumed", "study.closed", "key.rotated",
    "export.created", "erasure.done",
)  # fmt: skip


def section(log: Log, attached: Files) -> Section:
    """The signatures, then the changes that somebody decided."""
    charter = log.state.charter
    signers = len(log.signers(0))
    blocks: list[Block] = [
        paragraph(
            "The ", Entry(0, "charter"), f" is the agreement. {counted(signers, 'key')} signed it; "
            f"{charter.signatures_required} hospital signatures were needed. What it permits is a "
            "rule that hub, hospitals, witnesses and auditors apply to every later entry.",
        ),
        *_signatures(log, attached),
        Heading("What changed during the study"),
        *_changes(log),
    ]  # fmt: skip
    return Section("decided", "Who decided?", tuple(blocks))


def _signatures(log: Log, attached: Files) -> list[Block]:
    known = names(attached)
    rows = list(signatures(log, known))
    where = "data/governance/signatures.csv"
    return [
        Heading("Signatures"),
        Paragraph(
            text(
                "Self-signed: with a key of the one who decided. Hub-attested: by the hub for a "
                "user who holds no key. "
                + (
                    "Printed names come from data/people.csv; no entry attests them."
                    if known
                    else "This bundle brings no printed names; the key names stand for them."
                )
            )
        ),
        Table(
            "Signatures with name, time and meaning",
            ("Printed name", "Key", "Role", "Meaning", "Time claimed", "Witnessed at the latest",
             "Entry", "How"),
            (12, 21, 10, 19, 12, 12, 6, 8),
            tuple(_signature(row) for row in rows[:MOST]),
        ),
        *more(len(rows), MOST, where),
        paragraph(
            "Who held which key from which entry to which: ", Code("data/governance/keys.csv"), "."
        ),
    ]  # fmt: skip


def _signature(row: Sequence[Any]) -> tuple[Text, ...]:
    name, key, role, meaning, claimed, witnessed, index, how = row
    entry: Text = (Entry(index),) if isinstance(index, int) else (str(index).replace("-", " to "),)
    return (
        text(clean(name) or NONE), text(Code(key)), text(role), text(_readable(meaning)),
        text(moment(claimed)), text(moment(witnessed) if witnessed else "not witnessed"), entry,
        text(how),
    )  # fmt: skip


def _readable(meaning: str) -> str:
    before, word, until = meaning.rpartition(" until ")
    return f"{before}{word}{moment(until)}" if word else meaning


def _changes(log: Log) -> list[Block]:
    found = log.of_kind(*CHANGES)
    if not found:
        return [paragraph("Nothing but rounds, measurements and releases: none in this log.")]
    return [
        Table(
            "Decisions after the charter",
            ("Entry", "Time claimed", "What", "Signed by", "How"),
            (7, 19, 40, 24, 10),
            tuple(_change(log, index) for index, _ in found[:MOST]),
        ),
        *more(len(found), MOST, "data/governance/decisions.csv"),
    ]


def _change(log: Log, index: int) -> tuple[Text, ...]:
    event = log.events[index]
    body, signers = log.plain(index)["body"], log.signers(index)
    return (
        text(Entry(index)), text(moment(event.time)),
        text(sentence(event.type, body, event.actor or "", signers)),
        text(Code(" ".join(signers))), text(signed(log, index)),
    )  # fmt: skip


def more(found: int, shown: int, where: str) -> list[Block]:
    """Say where the rest of a long table stands; nothing, if it is all here."""
    if found <= shown:
        return []
    return [paragraph(f"The first {shown} of {found:,} rows. All of them: ", Code(where), ".")]
