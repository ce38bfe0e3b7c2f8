"""What the commands of a site share: their common options, and how an answer is printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Home = Annotated[Path | None, typer.Option("--home", help="Folder of this site.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON value for machines.")]
Study = Annotated[str, typer.Argument(help="Study or charter id, at least 6 characters.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for typed words.")]
ListFiles = Annotated[
    bool, typer.Option("--list-files", help="Write quarantine.csv with paths into the home.")
]
FindText = Annotated[
    bool | None,
    typer.Option(
        "--find-text/--no-find-text",
        help="Look for text drawn into pictures and blank it; default: the setting text_detection.",
        show_default=False,
    ),
]
DicomSource = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE", help="Folder or .zip with DICOM files; `inbox`; `pacs` with --query."
    ),
]
DicomQuery = Annotated[
    list[str] | None,
    typer.Option("--query", help="What to fetch from the PACS, KEY=VALUE; may be given again."),
]
DeidProfile = Annotated[
    str, typer.Option("--profile", help="training, strict, or a YAML file with name and codes.")
]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the passphrase (0600).")
]


def speak(value: Any, *, as_json: bool, lines: list[str]) -> None:
    """Print JSON for machines or lines for people."""
    typer.echo(json.dumps(value, ensure_ascii=False) if as_json else "\n".join(lines))
