"""`consilium site journal`: what this hospital wrote down, and with `--egress` all that left it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import Malformed, NotReady
from compliance.records.types import seconds_of, time_text
from site_node.gate.egress import WAYS
from site_node.gate.say import journal_lines
from site_node.options import AsJson, Home, speak
from site_node.wiring import open_site

DAY = len("2026-11-29")


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(journal))


def journal(
    *,
    study: Annotated[str | None, typer.Option(help="Only this study.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many of the newest lines.")] = 200,
    egress: Annotated[
        bool, typer.Option("--egress", help="The egress ledger: every body that left, and sums.")
    ] = False,
    since: Annotated[
        str, typer.Option(help="With --egress: from this day or time on (UTC), as 2026-11-29.")
    ] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Print what this hospital wrote down: asked, answered, refused, sent. It never leaves.

    With `--egress`, all that left it: when, by which channel, why, how many bytes, their SHA-256;
    sums by purpose; and whether the ledger's chain holds. Ends with 1 when it does not.

    Example: consilium site journal --egress --since 2026-11-29
    """
    if egress:
        _print_ledger(home, study, since, limit, as_json=as_json)
        return
    if since:
        raise NotReady("--since goes with --egress only.", "Use --limit for the journal.")
    with open_site(home, joined=False, strict=False) as rooms:
        rows = rooms.journal.lines(study=study, limit=limit)
    speak(rows, as_json=as_json, lines=journal_lines(rows))


def _print_ledger(
    home: Path | None, study: str | None, since: str, limit: int, *, as_json: bool
) -> None:
    start = _moment(since) if since else ""
    with open_site(home, joined=False, strict=False) as rooms:
        told = rooms.egress.look(study=study, since=start, limit=limit).plain()
    speak(told, as_json=as_json, lines=ledger_lines(told))
    if not told["chain"]["holds"]:
        raise typer.Exit(1)


def _moment(text: str) -> str:
    try:
        return time_text(seconds_of(f"{text}T00:00:00Z" if len(text) == DAY else text))
    except Malformed:
        raise NotReady(
            f"{text!r} is no day and no time.", "Write 2026-11-29 or 2026-11-29T08:00:00Z."
        ) from None


def ledger_lines(told: dict[str, Any]) -> list[str]:
    """The ledger for people: newest lines, sums by purpose, and the chain."""
    lines = [
        f"{row['at']}  {row['channel']:<6}{row['purpose']:<20}{row['study'] or '-':<17} "
        f"{row['bytes']:>10}  {row['sha256'][:23]}…  {row['path']}"
        for row in told["lines"]
    ]
    sums = [
        f"  {purpose:<20}{row['lines']:>8} times {row['bytes']:>14} bytes  {WAYS[purpose].sentence}"
        for purpose, row in told["sums"].items()
    ]
    total = told["total"]
    lines += ["", f"Left this hospital: {total['bytes']} bytes in {total['lines']} bodies.", *sums]
    return [*lines, "", *_chain_lines(told["chain"])]


def _chain_lines(chain: dict[str, Any]) -> list[str]:
    if not chain["lines"]:
        return ["Nothing has left yet."]
    if chain["holds"]:
        return [f"The chain holds over {chain['lines']} lines; its head is {chain['head']}."]
    return [
        f"THE CHAIN IS BROKEN at line {chain['broken_at']}: the ledger was changed from outside.",
        "Keep this machine as it is, and call whoever looks after the hospital's security.",
    ]
