"""`consilium site backup|restore|restored`: copies of a home, and the way back of one."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from compliance.errors import NotReady
from compliance.records.types import time_text
from site_node.gate.backup import Home as Source
from site_node.gate.backup import write_backup
from site_node.gate.mirror import CONSORTIUM
from site_node.gate.restored import Mark
from site_node.gate.restoring import restore as restore_home
from site_node.gate.say import passphrase_of
from site_node.options import AsJson, Home, Yes, speak
from site_node.store.backup import copy_of
from site_node.wiring import Rooms, clock, open_site

WHOSE = "the backup"
BackupPassphrase = Annotated[
    Path | None, typer.Option("--passphrase-file", help="File with the backup's passphrase (0600).")
]


def add_to(app: typer.Typer, act: Callable[[Any], Any]) -> None:
    """Give these commands to `consilium site`; `act` words what a full disk would say."""
    for command in (backup, restore, restored):
        app.command()(act(command))


def backup(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to make.")],
    *,
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Also curated images, inbox and quarantine.")
    ] = False,
    passphrase_file: BackupPassphrase = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Write a backup of this site, also while it is served; keys lie under a passphrase.

    Example: consilium site backup /mnt/safe/north-2026-11-30 --passphrase-file /root/backup.txt
    """
    with open_site(home) as rooms:
        settings = rooms.settings
        secret = passphrase_of(passphrase_file, settings.keys, new=True, whose=WHOSE)
        rows = [
            {"name": row.name, "version": row.version, "patients": row.patients}
            for row in rooms.catalogue.datasets()
        ]
        copy = partial(copy_of, settings.store_path, with_objects=with_data)
        source = Source(settings.home, str(settings.site), copy, rows, with_data)
        told = write_backup(source, out.absolute(), secret or "", time_text(rooms.clock()))
        rooms.journal.write("backup.written", files=len(told["files"]), with_data=with_data)
    kept = "with" if with_data else "without"
    lines = [f"{out}: {len(told['files'])} files, {kept} images. Keep it no longer than 35 days."]
    speak(told | {"out": str(out)}, as_json=as_json, lines=lines)


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="What `site backup` wrote.")],
    *,
    home: Annotated[Path, typer.Option("--home", help="A new folder for the site.")],
    passphrase_file: BackupPassphrase = None,
    as_json: AsJson = False,
) -> None:
    """Make a home from a backup. It cosigns and trains when the others have confirmed each log.

    End the old node for good first: two nodes with the same keys sign two histories.

    Example: consilium site restore /mnt/safe/north-2026-11-30 --home /srv/consilium
    """
    secret = passphrase_of(passphrase_file, None, whose=WHOSE)
    told = restore_home(source, home.absolute(), secret or "", clock())
    with contextlib.suppress(NotReady), open_site(home, strict=False) as rooms:
        rooms.journal.write("restored", made=told["made"])  # a backup of another release waits
    lines = [
        f"{home} is as {told['site']} was at {told['made']}. End the old node for good.",
        "Repeat what the steward decided since; then run `consilium site serve`.",
        *_to_import(told),
    ]
    speak(told | {"home": str(home)}, as_json=as_json, lines=lines)


def restored(
    *,
    trust: Annotated[
        str, typer.Option(metavar="LOG", help="Let a log rest no more: the others confirmed it.")
    ] = "",
    hold: Annotated[
        bool, typer.Option("--hold", help="The home was put back by other means: rest from now on.")
    ] = False,
    yes: Yes = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Say which logs rest because this home came from a backup; ends with 2 while one rests.

    `--trust` is for logs that the others can cosign no more: compare size and root by telephone
    first.

    Example: consilium site restored
    """
    with open_site(home) as rooms:
        if hold:
            rooms.restored.hold(rooms.clock())
        mark = rooms.restored.mark()
        if mark is None:
            speak({"since": None, "logs": []}, as_json=as_json, lines=["It was never restored."])
            return
        if trust:
            _trust(rooms, trust, yes=yes)
        rows = _rows(rooms)
    speak({"since": mark.since, "logs": rows}, as_json=as_json, lines=_lines(mark, rows))
    if any(row["rests"] for row in rows):
        raise typer.Exit(2)


def _trust(rooms: Rooms, log: str, *, yes: bool) -> None:
    row = next((row for row in _rows(rooms) if row["log"] == log), None)
    if row is None or not row["rests"]:
        raise NotReady(f"no log {log} rests here.", "See `consilium site restored`.")
    if not yes:
        typer.echo(_line(row), err=True)
        asked = "Did another hospital's `consilium site mirror` show this log, and no longer one?"
        typer.confirm(asked, abort=True, err=True)
    rooms.restored.wake(log, "a person compared it")


def _rows(rooms: Rooms) -> list[dict[str, Any]]:
    heads = {head.study: head for head in rooms.mirror.all_heads()}
    return [
        {
            "log": log,
            "size": heads[log].size if log in heads else 0,
            "root": base64.b64encode(heads[log].root).decode() if log in heads else "",
            "rests": rooms.restored.rests(log),
        }
        for log in sorted({CONSORTIUM, *heads})
    ]


def _lines(mark: Mark, rows: list[dict[str, Any]]) -> list[str]:
    made = f"from a backup of {mark.made}" if mark.made else "by other means"
    return [f"Restored {mark.since} {made}.", *map(_line, rows)]


def _line(row: dict[str, Any]) -> str:
    rests = "rests until the others cosigned it" if row["rests"] else "confirmed"
    return f"{row['log']}: {row['size']} entries, root {row['root']}: {rests}"


def _to_import(told: dict[str, Any]) -> list[str]:
    if told["with_data"]:
        return []
    return [
        f"Import again, with the same recipe: {row['name']} ({row['version'][:19]}…)"
        for row in told["datasets"]
    ]
