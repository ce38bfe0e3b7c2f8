"""Who approved release, and what is known about the model: its card in short, its numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from compliance.records.releases import ModelReleased
from compliance.records.rounds import MetricReported, MetricValue
from compliance.report.log import Files, Log
from compliance.report.narrative import MARKER
from compliance.report.story.decided import more
from compliance.report.story.pieces import (
    NONE,
    Block,
    Code,
    Entry,
    Facts,
    Heading,
    Section,
    Table,
    Text,
    clean,
    paragraph,
    text,
)
from compliance.report.story.words import moment, sentence

KINDS = ("release.approved", "release.refused", "model.released", "model.recalled")
MOST = 120
NARRATIVE = {
    "intended_use": "Intended use",
    "users": "Users",
    "population": "Population",
    "out_of_scope": "Out of scope",
    "risks": "Risks",
    "biases": "Biases",
    "maintenance": "Maintenance",
    "funding": "Funding",
    "stakeholders": "Stakeholders",
}
"""Fields of a card that people write; no entry attests what they say."""


def section(log: Log, attached: Files) -> Section:
    """Approvals and releases, then the model."""
    terms, found = log.state.charter.release, log.of_kind(*KINDS)
    veto = "one refusal stops it" if terms.veto else "a refusal does not stop it"
    blocks: list[Block] = [
        paragraph(
            f"A model leaves after {terms.k} hospitals approved it; {veto}. It may leave as "
            f"{', '.join(str(form) for form in terms.outputs)}.",
        ),
    ]
    if found:
        blocks.append(
            Table(
                "Approvals, refusals, releases and recalls",
                ("Entry", "Time claimed", "What", "Signed by"),
                (7, 17, 50, 26),
                tuple(_decision(log, index) for index, _ in found[:MOST]),
            )
        )
        blocks += more(len(found), MOST, "data/governance/decisions.csv")
    else:
        blocks.append(paragraph("No release was asked for: none in this log."))
    return Section("release", "Who approved release?", (*blocks, *_model(log, attached)))


def _decision(log: Log, index: int) -> tuple[Text, ...]:
    event, signers = log.events[index], log.signers(index)
    words = sentence(event.type, log.plain(index)["body"], event.actor or "", signers)
    return (
        text(Entry(index)), text(moment(event.time)), text(words), text(Code(" ".join(signers))),
    )  # fmt: skip


def _model(log: Log, attached: Files) -> Iterator[Block]:
    """The newest released model, or the newest of all."""
    bodies = [(i, event.body) for i, event in log.of_kind("model.released")]
    out = [(index, body) for index, body in bodies if isinstance(body, ModelReleased)]
    model = out[-1][1].model_sha256 if out else log.state.model_sha256
    yield Heading("The released model" if out else "The newest model")
    task = log.state.charter.task
    yield Facts(
        (
            ("Model", text(Code(model))),
            ("What it says", text(f"{task.kind}: {', '.join(task.labels)}")),
            ("Released in", text(Entry(out[-1][0], f"entry {out[-1][0]}")) if out else text(NONE)),
            *(_card(attached, model) if out else ()),
        )
    )
    yield from _numbers(log, model)


def _card(attached: Files, model: str) -> Iterator[tuple[str, Text]]:
    path = f"data/model/{model.removeprefix('sha256:')[:16]}/card.json"
    card = _read(attached.get(path))
    if card is None:
        yield "Card", text("not in this bundle; its hash stands in the release")
        return
    yield "Card", text(Code(path), "; its hash stands in the release, its words are its makers'")
    said = card.get("narrative")
    for name, title in NARRATIVE.items():
        value = said.get(name) if isinstance(said, dict) else None
        yield title, text(clean(value) if isinstance(value, str) and value else MARKER)


def _read(data: bytes | None) -> dict[str, Any] | None:
    try:
        found = json.loads(data or b"")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _numbers(log: Log, model: str) -> Iterator[Block]:
    found = [
        (index, site, body, name)
        for index, site, body in log.state.metrics
        if body.model_sha256 == model
        for name in sorted(body.values)
    ]
    if not found:
        yield paragraph("No hospital reported values of this model.")
        return
    yield paragraph(
        "Measured by the hospitals on their own cases; these numbers are claims of those who "
        "signed them, each with its 95 % interval. A dash: too few cases to show.",
    )
    yield Table(
        "Measured values of this model",
        ("Hospital", "Data set", "Phase and split", "Metric", "Value", "Interval", "Cases",
         "Entry"),
        (20, 11, 20, 13, 9, 13, 7, 7),
        tuple(_number(*row) for row in found[:MOST]),
    )  # fmt: skip
    yield from more(len(found), MOST, "data/events.jsonl")


def _number(index: int, site: str, body: MetricReported, name: str) -> tuple[Text, ...]:
    value: MetricValue = body.values[name]
    between = f"{value.low} to {value.high}" if value.low and value.high else NONE
    return (
        text(site), text(Code(body.dataset)),
        text(f"{body.phase.replace('_', ' ')}, {body.split}"), text(name),
        text(value.value or NONE), text(between), text(NONE if value.n is None else f"{value.n:,}"),
        text(Entry(index)),
    )  # fmt: skip
