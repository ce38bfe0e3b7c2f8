"""Who trained which round with which code, who was left out and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from compliance.records.charter import CharterBody
from compliance.report.log import Log
from compliance.report.participation import rows as participation
from compliance.report.story.pieces import (
    BREAK,
    NONE,
    Block,
    Code,
    Entry,
    Facts,
    Heading,
    Inline,
    Section,
    Table,
    Text,
    Toned,
    joined,
    listed,
    paragraph,
    short,
    text,
)
from compliance.report.story.words import reason

MASKED = (
    "Updates are masked: what is on record, and what can be shown to be included, is the masked "
    "update of each hospital."
)


def section(log: Log) -> Section:
    """The program, the part of each hospital, then every round."""
    title = "Who trained which round with which code, and who was left out?"
    rows = list(participation(log))
    blocks: list[Block] = [_code(log)]
    if not rows:
        return Section("rounds", title, (*blocks, paragraph("No round was opened yet.")))
    blocks += [Heading("Participation"), _sites(log, rows)]
    if log.state.charter.aggregator.masked:
        blocks.append(paragraph(MASKED))
    models = {row.number: row.model_sha256 for row in log.state.rounds_closed}
    grouped = [(number, list(group)) for number, group in groupby(rows, key=lambda row: row[0])]
    blocks += [
        Heading("Every round"),
        paragraph(
            "Each hospital that was invited is named once: used, left out, missing. ✓ used, with "
            "its weight; ✕ arrived, but left out; ○ sent nothing. "
            "The name of a used hospital links its update.",
        ),
        Table(
            "Rounds",
            ("Round", "Used, with weight", "Left out or missing, and why", "Model", "Entries"),
            (8, 33, 30, 17, 12),
            tuple(_round(number, group, models.get(number)) for number, group in grouped),
        ),
    ]
    return Section("rounds", title, tuple(blocks))


def _code(log: Log) -> Facts:
    charter = log.state.charter
    params = ", ".join(f"{name} {value}" for name, value in charter.aggregator.params.items())
    return Facts(
        (
            ("Recipe", text(f"{charter.recipe.id}, version {charter.recipe.version}, network "
                            f"{charter.recipe.family}, ", short(charter.recipe.sha256))),
            ("Training program", text("Flower bundle ", Code(charter.bundle_sha256))),
            ("Start model", _start(charter)),
            ("How updates become a model", text(
                charter.aggregator.name + (f" ({params})" if params else "")
                + ("; updates are masked" if charter.aggregator.masked else ""))),
            ("Agreed for a round", text(
                f"at least {charter.min_sites} hospitals, each with at least "
                f"{charter.min_examples} cases; no shown count below {charter.min_cell}")),
        )
    )  # fmt: skip


def _start(charter: CharterBody) -> Text:
    """The model with which the study began, and whether anybody can draw it again."""
    name, given = Code(charter.initial_model_sha256), charter.start_model
    if given is None:
        return text("drawn from the study's id and the recipe's seed, ", name)
    source = "a file" if given.source == "file" else "a released model of the study with charter"
    return text("began from a given model, ", name, f": {source} ", Code(given.sha256))


def _sites(log: Log, rows: list[list[Any]]) -> Table:
    outcomes = {site: Counter[str]() for site in log.state.charter.site_names()}
    last: dict[str, int] = {}
    for row in rows:
        outcomes.setdefault(row[1], Counter())[row[2]] += 1
        if row[2] == "used":
            last[row[1]] = row[7]
    return Table(
        "Participation of each hospital",
        ("Hospital", "Rounds invited to", "Used", "Left out", "Missing", "Ended or open",
         "Last update used"),
        (28, 14, 10, 11, 11, 12, 14),
        tuple(
            (
                text(site, *_gone(log, site)), text(str(sum(found.values()))),
                text(str(found["used"])),
                text(str(found["excluded"])), text(str(found["missing"])),
                text(str(found["aborted"] + found["open"])),
                text(Entry(last[site])) if site in last else text("none"),
            )
            for site, found in sorted(outcomes.items())
        ),
    )  # fmt: skip


def _gone(log: Log, site: str) -> Text:
    if site in log.state.withdrawn:
        return (", left the study",)
    return () if site in log.state.signed else (", has not signed",)


def _round(number: int, group: list[list[Any]], model: str | None) -> tuple[Text, ...]:
    used = [part for row in group if row[2] == "used" for part in _used(row)][1:]
    gone = list(_gone_in(group))
    opened, closed = group[0][6], group[0][8]
    entries: list[Inline] = [Entry(opened)]
    if closed != "":
        entries += [" to ", Entry(closed)]
    return (
        text(str(number)),
        tuple(used) if used else text(Toned(NONE, "quiet")),
        joined(gone, BREAK) if gone else text(Toned("nobody", "quiet")),
        text(short(model)) if model else text(Toned("none", "quiet")),
        tuple(entries),
    )


def _used(row: list[Any]) -> Text:
    """A line of its own for each update: sign, link to the update, weight."""
    weight = f" {_rounded(row[4])}" if row[4] else ""
    return (BREAK, Toned("✓ ", "good"), Entry(row[7], row[1]), weight)


def _rounded(weight: str) -> str:
    """A weight with three decimals; the exact one stands in the entry."""
    whole, _, part = weight.partition(".")
    return f"{whole}.{part[:3]}" if part else whole


def _gone_in(group: list[list[Any]]) -> Iterator[Inline]:
    ended = [row for row in group if row[2] in ("aborted", "open")]
    for row in group:
        if row[2] == "excluded":
            yield Toned(f"✕ {row[1]}: {reason(row[3])}", "left")
        if row[2] == "missing":
            yield Toned(f"○ {row[1]}: {reason(row[3])}", "left")
    if ended:
        names, why = listed([row[1] for row in ended]), ended[0][3]
        words = f"no model: {reason(why)}" if ended[0][2] == "aborted" else "still open"
        yield Toned(f"○ {words} (invited: {names})", "left")
