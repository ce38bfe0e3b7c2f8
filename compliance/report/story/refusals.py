"""What was refused and why: each refusal with the sentence of its rule."""

from __future__ import annotations

from collections import Counter

from compliance.report.log import Log
from compliance.report.story.decided import MOST, more
from compliance.report.story.pieces import (
    Block,
    Code,
    Entry,
    Section,
    Table,
    Text,
    counted,
    listed,
    paragraph,
    text,
)
from compliance.report.story.words import moment, speaker
from compliance.rules.said import Denial
from compliance.rules.words import SENTENCES


def section(log: Log) -> Section:
    """Refusals; a storm is counted, and the count is shown."""
    title, found = "What was refused, and why?", log.state.denials
    if not found:
        words = "No refusal stands in this log: none in this log."
        return Section("refused", title, (paragraph(words),))
    hidden = sum(denial.body.suppressed for denial in found)
    tally = Counter(denial.body.rule for denial in found)
    often = [f"{rule} {number}" for rule, number in tally.most_common(5)]
    blocks: list[Block] = [
        paragraph(
            f"{counted(len(found), 'refusal')} on record; most often: {listed(often)}. "
            + (f"Another {hidden:,} were counted and not written one by one." if hidden else ""),
        ),
        Table(
            "Refusals",
            ("Entry", "Time claimed", "Who refused", "What", "Rule, and what it says"),
            (7, 15, 17, 17, 44),
            tuple(_row(denial) for denial in found[:MOST]),
        ),
        *more(len(found), MOST, "data/governance/decisions.csv"),
    ]
    return Section("refused", title, tuple(blocks))


def _row(denial: Denial) -> tuple[Text, ...]:
    body = denial.body
    what = body.action + (f", round {body.round}" if body.round is not None else "")
    again = f" ({body.suppressed} more before it)" if body.suppressed else ""
    return (
        text(Entry(denial.index)), text(moment(denial.time)), text(speaker(denial.actor)),
        text(what), text(Code(body.rule), f" {SENTENCES.get(body.rule, '')}{again}"),
    )  # fmt: skip
