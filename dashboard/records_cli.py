"""`consilium study review`, `sealed`, `destroy`: what auditors and administrators do with a record.

A remark comes from a file: what is typed on a command line stays in its history.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from dashboard.options import AsJson, Home, Password, Study, desk_of
from dashboard.say import password_of, remark_of, say
from dashboard.unsealing import opened

Result = Literal["nothing_found", "opened_case", "closed_case"]


def add_to(app: typer.Typer) -> None:
    """Give these commands to `consilium study`."""
    for command in (review, sealed, destroy):
        app.command()(command)


def review(
    asked: Study,
    *,
    result: Annotated[Result, typer.Option(help="What the review came to.")],
    start: Annotated[int, typer.Option("--from", min=0, help="First entry reviewed.")] = 0,
    stop: Annotated[
        int | None, typer.Option("--to", min=1, help="Entry after the last one; default: all.")
    ] = None,
    remark_file: Annotated[
        Path | None, typer.Option(help="File with a remark of one paragraph; it is sealed.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Put your review of a study's log on record; an opened case keeps the records.

    Example: consilium study review 00112233445566aa --result opened_case --remark-file case.txt
    """
    desk = desk_of(home)
    body = {"result": result, "from": start, "to": stop, "remark": remark_of(remark_file)}
    with desk.open_hub() as hub:
        study = desk.find(hub, asked)["study"]
        intent = hub.prepare("review.note", study, body)
        told = hub.confirm(intent["id"], None, None)["result"]
    words = f"Your review is entry {told['index']} of the log."
    words += f" The remark is sealed as {told['sealed']}." if told["sealed"] else ""
    say({"study": study, **told}, words, as_json=as_json)


def sealed(
    asked: Study,
    index: Annotated[
        int | None, typer.Argument(metavar="INDEX", help="Entry to open; else all are listed.")
    ] = None,
    *,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List the entries that commit to a sealed detail, or open one and check it here.

    Example: consilium study sealed 00112233445566aa 7
    """
    desk = desk_of(home)
    with desk.open_hub() as hub:
        study = desk.find(hub, asked)["study"]
        if index is not None:
            (note,) = hub.entries(study, index, index + 1)
            payload = opened(study, note, hub.sealed_detail(study, index))
            words = json.dumps(payload, ensure_ascii=False, indent=2)
            say(payload, f"Entry {index} commits to exactly this:\n{words}", as_json=as_json)
            return
        rows = hub.sealed(study)
    lines = [f"entry {row['index']}  {row['type']}  {row['actor']}  {row['state']}" for row in rows]
    say(rows, "\n".join(lines) or "No entry commits to a sealed detail.", as_json=as_json)


def destroy(
    asked: Study,
    *,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Say the second yes: everything goes.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    password_file: Password = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Destroy all records of a study at the hub after the end of retention; it takes two people.

    The first administrator asks for it, another one confirms with --confirm. After that nobody can
    bring the records back.

    Example: consilium study destroy 00112233445566aa --confirm
    """
    desk = desk_of(home)
    action = "study.destroy" if confirm else "study.destroy.prepare"
    with desk.open_hub() as hub:
        study = desk.find(hub, asked)["study"]
        intent = hub.prepare(action, study)
        if not yes:
            typer.echo("\n".join([intent["words"], *intent["consequences"]]), err=True)
            typer.confirm("Go on?", abort=True, err=True)
        password = password_of(password_file, new=False)
        told = hub.confirm(intent["id"], password, intent["typed"])["result"]
    words = f"Asked for at {told['prepared_at']}. Another administrator confirms within 7 days:"
    words += f"\n  consilium study destroy {study} --confirm"
    if confirm:
        words = f"All records of study {study} were destroyed at {told['destroyed_at']}."
    say(told, words, as_json=as_json)
