"""`consilium site upgrade`: the database of this release, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from site_node.federation.agent import only_one
from site_node.options import AsJson, Home, speak
from site_node.settings import load_settings
from site_node.store import schema


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give the command to `consilium site`; `act` words what a full disk would say."""
    app.command()(act(upgrade))


def upgrade(
    *,
    to: Annotated[
        str, typer.Option(metavar="REVISION", help="Another revision, to go back a release.")
    ] = "head",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Bring this site's database to this release's revision, or back to an older one.

    End `consilium site serve` first. Nothing is lost either way, a power cut leaves the old or the
    new database, and the old one is kept as `site.before.sqlite` until the next move.

    Example: consilium site upgrade
    """
    settings = load_settings(home)
    with only_one(settings.home):
        before, after = schema.move(settings.store_path, to)
    kept = "" if before == after else " The old one is kept as site.before.sqlite."
    told = {"before": before, "after": after}
    line = f"The database is of revision {after} (it was {before}).{kept}"
    speak(told, as_json=as_json, lines=[line])
