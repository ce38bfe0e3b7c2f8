"""What the commands of the hub share: their common options, and how an answer is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Home = Annotated[Path | None, typer.Option("--home", help="Folder of this hub.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def say(plain: Any, words: str, *, as_json: bool) -> None:
    """Print JSON for machines or words for people."""
    typer.echo(json.dumps(plain, ensure_ascii=False) if as_json else words)
