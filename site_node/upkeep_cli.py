"""`consilium site upgrade|wipe`: the database of this release and the way back; the end here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from site_node.federation.agent import only_one
from site_node.gate import wiping
from site_node.options import AsJson, Home, Yes, speak
from site_node.settings import Settings, load_settings
from site_node.store import schema
from site_node.wiring import open_site


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give these commands to `consilium site`; `act` words what a full disk would say."""
    for command in (upgrade, wipe):
        app.command()(act(command))


def _settings(home: Path | None) -> Settings:
    settings = load_settings(home)
    if not settings.store_path.exists():
        raise NotReady(f"no site lives in {settings.home}.", "Name its folder with --home.")
    return settings


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
    settings = _settings(home)
    with only_one(settings.home):
        before, after = schema.move(settings.store_path, to)
    kept = "" if before == after else " The old one is kept as site.before.sqlite."
    told = {"before": before, "after": after}
    line = f"The database is of revision {after} (it was {before}).{kept}"
    speak(told, as_json=as_json, lines=[line])


def wipe(
    *,
    keys: Annotated[
        bool, typer.Option("--keys", help="Destroy the keys too: nobody signs here any more.")
    ] = False,
    yes: Yes = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Destroy curated images and pseudonyms of a hospital that has left. There is no way back.

    The source of the images is not touched. Journal and copies of the logs stay: they are this
    hospital's evidence. End `consilium site serve` first.

    Example: consilium site wipe
    """
    settings = _settings(home)
    with only_one(settings.home), open_site(home, joined=False) as rooms:
        wiping.check_left(settings.site, rooms.mirror.consortium())
        if not yes:
            typer.confirm(f"Destroy all curated data in {settings.home}?", abort=True, err=True)
        told = wiping.wipe(settings.home, rooms.forget_objects, rooms.journal, keys=keys)
    names = ", ".join(told.names) or "nothing was left to destroy"
    lines = [f"Destroyed: {names}; {told.objects} objects of the catalogue.", "Records stay."]
    speak(asdict(told), as_json=as_json, lines=lines)
