"""`consilium site counts`: what this hospital would answer when the consortium asks how many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from compliance.errors import NotReady
from site_node.gate.counts import Question, grid_lines
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
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show what this hospital would answer to a question of the consortium; nothing is sent.

    Numbers are patients, each cell rounded down to a multiple of the own floor (`min_cell`).

    Example: consilium site counts --body-part chest --label pneumonia --age 60-69
    """
    question = _question(modality=modality, body_part=body_part, label=label, age=age, sex=sex)
    with open_site(home, joined=False) as rooms:
        rows = rooms.counts.answer(question)
        grids = {row["dataset"]: list(rooms.counts.grid(row["dataset"]).items()) for row in rows}
    lines = []
    for row in rows:
        lines.append(f"{row['dataset']:<20} {row['patients']:>8} patients (floor {row['floor']})")
        lines += grid_lines(grids[row["dataset"]]) if cells else []
    told = rows if not cells else [{**row, "cells": grids[row["dataset"]]} for row in rows]
    speak(told, as_json=as_json, lines=lines or ["No dataset is here."])


def _question(**words: str | None) -> Question:
    try:
        return Question.model_validate(words)
    except ValidationError as error:
        name = str(error.errors()[0]["loc"][0]).replace("_", "-")
        raise NotReady(
            f"--{name} is none of the words that may be asked.", "See `consilium site counts -h`."
        ) from None
