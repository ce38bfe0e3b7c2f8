"""`consilium study amend`: a changed charter is laid before the hospitals; they sign it at home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dashboard.desk import read_draft
from dashboard.options import AsJson, Home, Passphrase, Password, Study, desk_of
from dashboard.say import passphrase_of, password_of, say

Changes = Annotated[Path, typer.Argument(metavar="CHANGES.yaml", help="The terms that change.")]


def add_to(app: typer.Typer) -> None:
    """Give this command to `consilium study`."""
    app.command()(amend)


def amend(
    asked: Study,
    changes: Changes,
    *,
    passphrase_file: Passphrase = None,
    password_file: Password = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Propose other terms for a running study, such as `max_rounds: 20`.

    The file holds fields as the charter has them; what it does not name stays. The new text is in
    force when as many hospitals have signed it as it asks for; who does not sign is outside.

    Example: consilium study amend 00112233445566aa changes.yaml
    """
    desk, wanted = desk_of(home), read_draft(changes)
    with desk.open_hub() as hub:
        row = desk.find(hub, asked)
        own = desk.amend(hub, row, wanted, passphrase_of(passphrase_file))
        told = own or desk.confirmed(
            hub, "charter.amend", row["study"], {"changes": wanted},
            lambda: password_of(password_file, new=False),
        )  # fmt: skip
    signed = "self-signed" if own else "hub-attested"
    number = told["id"].removeprefix("sha256:")[:16]
    words = (
        f"Laid before the hospitals as {number} ({signed}).\n"
        f"Each of them reads the difference and signs: consilium site sign {number}"
    )
    say({"study": row["study"], "signed": signed, **told}, words, as_json=as_json)
