"""From a backup to a home: every hash first, then the keys, then the folder in one step.

The home is marked as restored: it mirrors, and neither cosigns nor trains before the other
hospitals have confirmed each log (`restored.py`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.canonical import decode
from compliance.errors import Malformed, NotReady, Refused
from compliance.signing.passphrase import Closed, WrongPassphrase, open_closed
from site_node.gate import backup
from site_node.gate.backup import CLOSED, DATA, DATABASE, MANIFEST, MODELS, OWN, PLAIN, SECRETS
from site_node.gate.restored import FILE, new_mark, write_mark
from site_node.store.backup import is_whole

FIX = "Name a folder that `consilium site backup` wrote, as it was written."
PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", re.ASCII)


def restore(source: Path, home: Path, passphrase: str, now: datetime) -> dict[str, Any]:
    """Make a home from a backup; returns its manifest.

    Args:
        source: what `write_backup` wrote.
        home: a folder that is not there, or empty.
        passphrase: that of the backup.
        now: the time; what was cosigned and ordered before it counts as forgotten.

    Raises:
        NotReady: the home is not empty or cannot be made; a file is missing, strange or changed.
        Refused: the passphrase is wrong, or the manifest is not the one it was closed with.
    """
    _check_empty(home)
    told, manifest = _manifest(source)
    _check_names(source, told["files"])
    secrets = _secrets(source, manifest, passphrase)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".restoring-", dir=home.parent))
    except OSError as error:
        raise NotReady(
            f"{home} cannot be made ({error.strerror}).", "Name another folder with --home."
        ) from error
    try:
        _take(source, staging, told["files"])
        for name, data in secrets.items():
            backup.write_file(staging / name, data)
        write_mark(staging / FILE, new_mark(now, str(told["made"])))
        staging.rename(home)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return told


def _check_empty(home: Path) -> None:
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise NotReady(f"{home} is not empty.", "Name a new folder with --home.")


def _manifest(source: Path) -> tuple[dict[str, Any], bytes]:
    try:
        data = (source / MANIFEST).read_bytes()
        told = decode(data)
        if told["v"] == 1 and DATABASE in dict(told["files"]):
            return told, data
    except (OSError, Malformed, KeyError, TypeError, ValueError):
        pass
    raise NotReady(f"{source} is no backup of a site.", FIX)


def _check_names(source: Path, files: dict[str, str]) -> None:
    """Nothing but what the manifest names, below the folders that a backup has."""
    here = {path.relative_to(source).as_posix() for path in source.rglob("*") if not path.is_dir()}
    wrong = sorted(here ^ {*files, MANIFEST, SECRETS})
    wrong += [name for name in files if not _usual(name) or (source / name).is_symlink()]
    if wrong:
        raise NotReady(f"{len(wrong)} files of the backup are missing, added or strange.", FIX)


def _usual(name: str) -> bool:
    first, *rest = name.split("/")
    own = first == MODELS and len(rest) > 1 and rest[1] in OWN
    known = own or first in (DATABASE, *PLAIN, *DATA)
    return known and all(PART.fullmatch(part) for part in rest)


def _take(source: Path, staging: Path, files: dict[str, str]) -> None:
    for name, wanted in files.items():
        if backup.copy_file(source / name, staging / name) != wanted:
            raise NotReady(f"{name} of the backup was changed or is damaged.", FIX)
    if not is_whole(staging / DATABASE):
        raise NotReady(f"{DATABASE} of the backup is damaged.", FIX)


def _secrets(source: Path, manifest: bytes, passphrase: str) -> dict[str, bytes]:
    try:
        closed = Closed.of(json.loads((source / SECRETS).read_bytes()), "data")
        opened = open_closed(closed, passphrase, hashlib.sha256(manifest).digest())
        told = {str(name): base64.b64decode(text) for name, text in json.loads(opened).items()}
    except WrongPassphrase:
        raise Refused(
            "key.passphrase",
            sentence="The passphrase is not this backup's, or its manifest was changed.",
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise NotReady(f"{SECRETS} of the backup cannot be read.", FIX) from None
    if any(name.split("/")[0] not in CLOSED or ".." in name for name in told):
        raise NotReady(f"{SECRETS} of the backup names a strange file.", FIX)
    return told
