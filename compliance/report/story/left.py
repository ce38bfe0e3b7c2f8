"""What left each hospital, and how much privacy was spent: sums of what the hospitals signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from compliance.records.rounds import MetricReported, UpdateSubmitted
from compliance.report.disclosures import rows as disclosures
from compliance.report.log import Log
from compliance.report.privacy import ledger
from compliance.report.story.pieces import (
    NONE,
    Block,
    Code,
    Entry,
    Section,
    Table,
    Text,
    counted,
    paragraph,
    text,
)

KIB = 1024


@dataclass
class Sent:
    """What went out of one data set."""

    updates: list[int] = field(default_factory=list)
    bytes: int = 0
    cases: list[int] = field(default_factory=list)
    masked: bool = False
    metrics: list[int] = field(default_factory=list)


def section(log: Log) -> Section:
    """Updates and measured values by hospital and data set."""
    sent = _sent(log)
    for row in log.state.charter.datasets:
        sent.setdefault((row.site, row.id), Sent())
    released = _released(log)
    blocks: list[Block] = [
        paragraph(
            "A statement of a hospital's program can carry closed words, numbers, hashes and "
            "signatures; the form has no field for a sentence, a name or an image. An update is "
            "the change of a model's numbers. Cases are what the hospital claims.",
        ),
        Table(
            "What left each hospital",
            ("Hospital", "Data set", "Updates", "Size together", "Cases claimed per update",
             "Reports of measured values", "Entries"),
            (21, 11, 14, 12, 16, 13, 13),
            tuple(_row(pair, sent[pair]) for pair in sorted(sent)),
        ),
        paragraph(
            "Recipient of all of it: the hub, ", Code(log.hub), ". ", *released,
            "The same as a list with dates, one file a hospital: ",
            Code("data/sites/<hospital>/disclosures.csv"), ".",
        ),
    ]  # fmt: skip
    return Section("left", "What left each hospital?", tuple(blocks))


def _sent(log: Log) -> dict[tuple[str, str], Sent]:
    found: dict[tuple[str, str], Sent] = {}
    for index, event in enumerate(log.events):
        body = event.body
        if not isinstance(body, UpdateSubmitted | MetricReported):
            continue
        site = (event.actor or "").rpartition("/")[0]
        row = found.setdefault((site, body.dataset), Sent())
        if isinstance(body, MetricReported):
            row.metrics.append(index)
        else:
            row.updates.append(index)
            row.cases.append(body.n)
            row.bytes += body.bytes
            row.masked = body.masked
    return found


def _row(pair: tuple[str, str], sent: Sent) -> tuple[Text, ...]:
    what = counted(len(sent.updates), "masked update" if sent.masked else "update")
    least, most = min(sent.cases, default=0), max(sent.cases, default=0)
    cases = NONE if not sent.cases else f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return (
        text(pair[0]), text(Code(pair[1])), text(what), text(size(sent.bytes)),
        text(cases), text(counted(len(sent.metrics), "report")),
        _range(sorted(sent.updates + sent.metrics)),
    )  # fmt: skip


def _range(indices: list[int]) -> Text:
    if not indices:
        return ("none in this log",)
    if len(indices) == 1:
        return (Entry(indices[0]),)
    return (Entry(indices[0]), " to ", Entry(indices[-1]))


def _released(log: Log) -> Text:
    found = sorted({row[-1] for _, row in disclosures(log) if row[1].startswith("released")})
    if not found:
        return ("No model was released. ",)
    links: list[Any] = []
    for index in found:
        links += [", " if links else "Models that learned from these data were released: entry ",
                  Entry(index)]  # fmt: skip
    return (*links, ". ")


def size(number: int) -> str:
    """Bytes as people read them."""
    if number < KIB:
        return f"{number} bytes"
    return f"{number / KIB:.0f} KiB" if number < KIB**2 else f"{number / KIB**2:,.1f} MiB"


def privacy(log: Log) -> Section:
    """Sums of epsilon against their caps."""
    title, terms = "How much privacy was spent?", log.state.charter.dp
    if terms is None:
        words = "Differential privacy was not agreed in this charter; no privacy cost was stated."
        return Section("privacy", title, (paragraph(words, " See ", Entry(0), "."),))
    blocks: list[Block] = [
        paragraph(
            f"Agreed for each data set over the whole study, counted per {terms.unit}: ε at most "
            f"{terms.epsilon} and δ at most {terms.delta}; accountant {terms.accountant}. The sums "
            "are exact decimals of what the hospitals claim, and the rule ", Code("dp.budget"),
            " held for every entry.",
        ),
        Table(
            "Privacy spent and its cap",
            ("Hospital", "Data set", "ε spent", "Cap in force", "Left", "Updates with a cost",
             "Last cost"),
            (24, 13, 12, 14, 12, 14, 11),
            tuple(_spent(log)),
        ),
        paragraph("Every cost with noise, clip, sample rate and steps, enough to compute ε again: ",
                  Code("data/privacy/dp_ledger.csv"), "."),
    ]  # fmt: skip
    return Section("privacy", title, tuple(blocks))


def _spent(log: Log) -> Iterator[tuple[Text, ...]]:
    costs: dict[tuple[str, str], list[int]] = {}
    for row in ledger(log):
        costs.setdefault((row[1], row[2]), []).append(row[0])
    for data in log.state.charter.datasets:
        pair = (data.site, data.id)
        spent, cap = log.state.spent(*pair), log.state.epsilon_cap.get(pair)
        left = NONE if cap is None else f"{cap - spent:f}"
        entries = costs.get(pair, [])
        yield (
            text(data.site), text(Code(data.id)), text(f"{spent:f}"),
            text(NONE if cap is None else f"{cap:f}"), text(left), text(str(len(entries))),
            text(Entry(entries[-1])) if entries else text(NONE),
        )  # fmt: skip
