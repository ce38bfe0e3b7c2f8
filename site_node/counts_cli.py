"""`consilium site counts`: what this hospital would answer when the consortium asks how many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.records.counts import CountsAsked, read_question
from compliance.rules.words import SENTENCES
from site_node.gate.counts import grid_lines
from site_node.options import AsJson, Home, speak
from site_node.wiring import open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(counts))


def counts(  # noqa: PLR0913 - one option each
    *,
    modality: Annotated[str | None, typer.Option(help="Such as cr, dx, ct, mr.")] = None,
    body_part: Annotated[str | None, typer.Option(help="Such as chest.")] = None,
    label: Annotated[str | None, typer.Option(help="A class of the labels.")] = None,
    age: Annotated[str | None, typer.Option(help="0-9 10-19 … 70-79 80+ unknown")] = None,
    sex: Annotated[str | None, typer.Option(help="female male other unknown")] = None,
    cells: Annotated[
        bool, typer.Option("--cells", help="Every cell that is told; answers are their sums.")
    ] = False,
    asked: Annotated[
        bool, typer.Option("--asked", help="List who asked what, when, and what was told.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show what this hospital would answer to a question of the consortium; nothing is sent.

    Numbers are patients, each cell rounded down to a multiple of the own floor (`min_cell`).

    With --asked, what the consortium did ask, and what was answered.

    Example: consilium site counts --body-part chest --label pneumonia --age 60-69
    """
    if asked:
        _list_asked(home, as_json=as_json)
        return
    question = read_question(
        "See `consilium site counts -h`.",
        modality=modality,
        body_part=body_part,
        label=label,
        age=age,
        sex=sex,
    )
    with open_site(home, joined=False) as rooms:
        rows = rooms.counts.answer(question)
        grids = {row["dataset"]: list(rooms.counts.grid(row["dataset"]).items()) for row in rows}
    lines = []
    for row in rows:
        lines.append(f"{row['dataset']:<20} {row['patients']:>8} patients (floor {row['floor']})")
        lines += grid_lines(grids[row["dataset"]]) if cells else []
    told = rows if not cells else [{**row, "cells": grids[row["dataset"]]} for row in rows]
    speak(told, as_json=as_json, lines=lines or ["No dataset is here."])


def _list_asked(home: Path | None, *, as_json: bool) -> None:
    with open_site(home, joined=False, strict=False) as rooms:
        rows = rooms.answering.asked()
        answers = rooms.settings.answer_counts and not rooms.settings.unusable_policy
    lines = [line for row in rows for line in _asked_lines(row.plain())]
    told = {"answers": answers, "questions": [row.plain() for row in rows]}
    speak(told, as_json=as_json, lines=[_STANDS[bool(answers)], *(lines or ["Nobody has asked."])])


_STANDS = {
    True: "This hospital answers questions how many (answer_counts).",
    False: "This hospital answers no question how many (answer_counts); whoever asks is told so.",
}


def _asked_lines(row: dict[str, Any]) -> list[str]:
    """A question and its answer, as the steward reads them."""
    if row["words"] is None:
        return [f"{row['seen']}  not answered ({row['rule']}): {SENTENCES.get(row['rule'], '')}"]
    phrase = CountsAsked.model_validate(row["words"]).phrase
    head = f"{row['seen']}  {row['asker']} asked: {phrase}"
    if row["told"] is None:
        return [head, "  declined"]
    numbers = [f"  {name:<20} {_number(n)}" for name, n in row["told"].items()]
    waits = [] if row["taken"] else ["  not taken by the hub yet"]
    wrong = [f"  refused by the hub ({row['rule']})"] if row["rule"] else []
    return [head, *(numbers or ["  no registered dataset"]), *waits, *wrong]


def _number(patients: int | None) -> str:
    return "fewer than the floor, or none" if patients is None else f"{patients} patients"
