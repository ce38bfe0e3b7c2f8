"""Backups of a hub: one file with the whole home; restored, it only reads at first.

The file holds private keys and is as secret as the home itself. What is made again by itself
(`run/`, `flower/`) is left out; the database is copied as it was at one moment.
"""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from compliance.report.version import VERSION
from hub.services import held
from hub.services.held import EVERY, RESTORED, Mark
from hub.storage.backup import SQLITE, copy_of
from hub.storage.database import Database

LEFT_OUT = ("run", "flower", "hub.sqlite", "hub.sqlite-wal", "hub.sqlite-shm")
DATABASE, ABOUT = "hub.sqlite", "backup.json"
FIX = "Name a file that `consilium hub backup` wrote."


def write_backup(database: Database, home: Path, out: Path, now: str) -> dict[str, Any]:
    """Write the whole home into one file, readable by its owner only.

    Args:
        database: copied first: files that an entry names are there before the entry is.
        home: of the hub; it may be served meanwhile.
        out: file to write, whole or not at all.
        now: the time, UTC.

    Raises:
        NotReady: the file is there already or cannot be written, or the database is PostgreSQL.
    """
    if out.exists():
        raise NotReady(f"{out} is there already.", "Name another file with --out.")
    if out.resolve().is_relative_to(home.resolve()):
        raise NotReady(f"{out} lies in the home itself.", "Name a file on another disk.")
    if database.url.startswith(SQLITE) and database.url != f"{SQLITE}{home / DATABASE}":
        raise NotReady(
            "the database lies outside this home.",
            "Copy both by your own means; after a restore run `consilium hub hold` first.",
        )
    about = {"made": now, "version": VERSION}
    part = out.with_name(out.name + ".part")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=home) as folder:
            copied = Path(folder) / DATABASE
            copy_of(database, copied)
            (Path(folder) / ABOUT).write_text(json.dumps(about))
            part.touch(mode=0o600)
            with tarfile.open(part, "w:gz", dereference=True) as file:
                file.add(Path(folder) / ABOUT, ABOUT)
                file.add(copied, DATABASE)
                for path in sorted(home.iterdir()):
                    if path.name not in LEFT_OUT and not path.name.startswith(".backup-"):
                        file.add(path, path.name)
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise NotReady(
            f"{out} cannot be written ({error.strerror}).", "Name another file with --out."
        ) from error
    return about | {"out": str(out), "bytes": out.stat().st_size}


def restore(source: Path, home: Path, now: str) -> dict[str, Any]:
    """Make a home from a backup; it only reads until enough witnesses spoke.

    Args:
        source: what `write_backup` wrote.
        home: a folder that is not there yet.
        now: the time, UTC; statements of witnesses count from here on.

    Raises:
        NotReady: the home is there, the file is no backup, or the folder cannot be written.
    """
    if home.exists():
        raise NotReady(f"{home} is there already.", "Name a new folder with --home.")
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".restoring-", dir=home.parent))
    except OSError as error:
        raise NotReady(
            f"{home} cannot be made ({error.strerror}).", "Name another folder with --home."
        ) from error
    try:
        with tarfile.open(source) as file:
            file.extractall(staging, filter="data")
        about = dict(json.loads((staging / ABOUT).read_text()))
        (staging / ABOUT).unlink()
        if not (staging / DATABASE).is_file() or not (staging / "keys").is_dir():
            raise NotReady(f"{source} is no backup of a hub.", FIX)
        (staging / "keys").chmod(0o700)
        held.write_mark(staging / held.FILE, Mark(RESTORED, now, (EVERY,)))
        staging.rename(home)
    except (OSError, tarfile.TarError, ValueError, EOFError) as error:
        raise NotReady(f"{source} is no readable backup of a hub ({error}).", FIX) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return about | {"home": str(home)}
