"""`consilium study ask`: how many patients of a kind the hospitals have, as each of them tells."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import typer

from compliance.records.counts import Age, Sex, read_question
from dashboard import counting
from dashboard.options import AsJson, Home, Passphrase, desk_of
from dashboard.say import passphrase_of, say

REPORTED = "As the hub tells it; the page *How many* checks each hospital's signature."


def add_to(app: typer.Typer) -> None:
    """Give the command to `consilium study`."""
    app.command()(ask)


def ask(  # noqa: PLR0913 - one option each
    *,
    modality: Annotated[str | None, typer.Option(help="Such as cr, dx, ct, mr.")] = None,
    body_part: Annotated[str | None, typer.Option(help="Such as chest.")] = None,
    label: Annotated[str | None, typer.Option(help="A class of the labels.")] = None,
    age: Annotated[str | None, typer.Option(help="0-9 10-19 … 70-79 80+ unknown")] = None,
    sex: Annotated[str | None, typer.Option(help="female male other unknown")] = None,
    listed: Annotated[
        bool, typer.Option("--list", help="Ask nothing: list what was asked and told.")
    ] = False,
    known: Annotated[
        bool, typer.Option("--words", help="Ask nothing: list the words that can be asked.")
    ] = False,
    passphrase_file: Passphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Ask every hospital how many patients of a kind it has; each answers above its own floor.

    Without a word the question is about everybody. Answers come within a minute of a hospital that
    answers such questions; look with --list.

    Example: consilium study ask --body-part chest --label pneumonia --age 60-69
    """
    question = read_question(
        "List them: consilium study ask --words.",
        modality=modality,
        body_part=body_part,
        label=label,
        age=age,
        sex=sex,
    )
    desk = desk_of(home)
    with desk.open_hub() as hub:
        if known:
            _tell_words(hub.count_words(), as_json=as_json)
            return
        names = {row["name"]: row["title"] for row in hub.sites()}
        if listed:
            _tell_all(hub.counts(), names, as_json=as_json)
            return
        told = desk.ask(hub, question.plain(), passphrase_of(passphrase_file))
    words = f"Asked ({told['signed']}): {told['phrase']}.\nNext: consilium study ask --list"
    say(told, words, as_json=as_json)


def _tell_words(found: dict[str, list[str]], *, as_json: bool) -> None:
    rows = found | {"age": list(get_args(Age)), "sex": list(get_args(Sex))}
    lines = [
        f"--{name.replace('_', '-'):<10} {' '.join(words) or 'none'}"
        for name, words in rows.items()
    ]
    say(rows, "\n".join(lines), as_json=as_json)


def _tell_all(rows: list[dict[str, Any]], names: dict[str, str], *, as_json: bool) -> None:
    lines = [*counting.text_lines(rows, names), REPORTED] if rows else ["Nobody has asked yet."]
    say(rows, "\n".join(lines), as_json=as_json)
