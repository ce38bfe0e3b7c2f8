"""What the researcher's commands share: their common options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Home = Annotated[Path | None, typer.Option("--home", help="Folder with all that is kept here.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
Study = Annotated[
    str, typer.Argument(metavar="STUDY", help="Study or charter id, at least 6 characters.")
]
Charter = Annotated[Path, typer.Argument(metavar="CHARTER.yaml", help="The draft.")]
Passphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the key's passphrase (0600).")
]
