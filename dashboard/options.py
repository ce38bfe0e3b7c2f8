"""What the commands of a person share: their common options, and the desk behind them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from dashboard.desk import Desk
from dashboard.settings import default_home

Home = Annotated[Path | None, typer.Option("--home", help="Folder with all that is kept here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Study = Annotated[
    str, typer.Argument(metavar="STUDY", help="Study or charter id, at least 6 characters.")
]
Charter = Annotated[Path, typer.Argument(metavar="CHARTER.yaml", help="The draft.")]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the key's passphrase (0600).")
]
Password = Annotated[
    Path | None,
    typer.Option("--password-file", help="File with the password (0600), else it is asked."),
]


def desk_of(home: Path | None) -> Desk:
    """The desk in this folder, or in the default one."""
    return Desk(
        home=(home or default_home()).resolve(),
        clock=lambda: datetime.now(UTC),  # noqa: TID251 - these commands are their own wiring
        nonce=lambda: secrets.token_hex(16),
    )
