"""`consilium hub seal show|erase` and `retention`: what may be forgotten, and what must be kept."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from hub.options import Home, Json, say
from hub.wiring import rooms_in

Log = Annotated[str, typer.Argument(metavar="STUDY", help="16 hex digits, or `consortium`.")]

seals = typer.Typer(
    no_args_is_help=True, help="Sealed details: what entries commit to without telling it."
)


def add_to(app: typer.Typer) -> None:
    """Give these commands to `consilium hub`."""
    app.add_typer(seals, name="seal")
    app.command("retention")(retention)


@seals.command()
def show(
    log: Log,
    index: Annotated[
        int | None,
        typer.Argument(metavar="INDEX", help="Entry to open; else all are listed."),
    ] = None,
    *,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List the entries that commit to a sealed detail, or open the detail of one.

    Example: consilium hub seal show 00112233445566aa 7
    """
    sealed = rooms_in(home).sealed
    if index is not None:
        told = sealed.open(log, index)
        words = f"{_line(told)}\n{json.dumps(told['payload'], ensure_ascii=False, indent=2)}"
        say(told, words, as_json=as_json)
        return
    rows = [row.plain() for row in sealed.all(log)]
    lines = [_line(row) for row in rows]
    say(rows, "\n".join(lines) or "No entry commits to a sealed detail.", as_json=as_json)


@seals.command()
def erase(
    log: Log,
    index: Annotated[int, typer.Argument(metavar="INDEX", help="Entry whose detail goes.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Delete the sealed detail of an entry for ever; every proof goes on holding.

    Example: consilium hub seal erase 00112233445566aa 7
    """
    sealed = rooms_in(home).sealed
    row = sealed.find(log, index).plain()
    if not yes:
        typer.echo(_line(row), err=True)
        typer.confirm("Erase it? It does not come back.", abort=True, err=True)
    told = sealed.erase(log, index)
    words = f"Erased at {told['erased_at']}; the log says that it was done. A backup made before "
    words += "still holds it: keep none for longer than 35 days."
    say(told, words, as_json=as_json)


def retention(*, home: Home = None, as_json: Json = False) -> None:
    """Say for each study until when its records are kept, what holds them, and what goes when.

    Example: consilium hub retention --json
    """
    rows = rooms_in(home).retention.all()
    lines = [_kept(row) for row in rows]
    say(rows, "\n".join(lines) or "There is no study yet.", as_json=as_json)


def _line(row: dict[str, Any]) -> str:
    state = f"erased {row['erased_at']}" if row["erased_at"] else row["state"]
    return f"entry {row['index']}  {row['type']}  {row['actor']}  {row['time']}  {state}"


def _kept(row: dict[str, Any]) -> str:
    if row["state"] == "destroyed":
        return (
            f"{row['study']}  destroyed {row['destroyed_at']}: charter {row['charter_id']}, "
            f"{row['size']} entries, root {row['root']}"
        )
    words = {
        "kept": f"{row.get('days_left')} more days",
        "held": "a review opened a case that nobody closed: entry "
        + ", ".join(map(str, row.get("legal_holds", []))),
        "due": "two administrators may destroy all records of it",
        "prepared": f"asked for at {row['prepared_at']}; another administrator may confirm",
    }
    title, until = row.get("title"), row.get("retention_until")
    return f"{row['study']}  kept until {until}: {words[row['state']]}. {title}"
