"""Backups of a site: one folder, whole or not there, its secrets under a passphrase.

`manifest.json` names every file with its hash; `secrets.json` holds the keys and the secret of the
pseudonyms, closed and bound to that very manifest. The database holds no image and, without
`with_data`, no row about one: the datasets are imported again, with the same result.

Source: design/packaging.md §8.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.canonical import encode
from compliance.errors import NotReady
from compliance.report.version import VERSION
from compliance.signing.passphrase import close

DATABASE, MANIFEST, SECRETS = "site.sqlite", "manifest.json", "secrets.json"
PLAIN = ("site.toml", "policy.yaml", "ca.pem", "signers.yaml", "deidentified", "recipes")
DATA = ("datasets", "inbox", "quarantine")
MODELS, OWN = "models", ("local", "controls")
"""Below `models/STUDY`: what this hospital trained for itself and no message holds."""
CLOSED = ("keys", "secret.key")
PARTIAL = (".part", ".partial")
MIN_PASSPHRASE = 8
BLOCK = 1 << 20

Copy = Callable[[Path], None]
"""Copies the database into a file that is not there yet."""


@dataclass(frozen=True)
class Home:
    """What is backed up.

    Args:
        folder: the site's home.
        site: its name.
        copy: copies the database as it is at one moment.
        datasets: name, version and patients of each dataset, for the manifest.
        with_data: whether images go along, and the layers and controls that stay here.
    """

    folder: Path
    site: str
    copy: Copy
    datasets: Sequence[dict[str, Any]]
    with_data: bool = False


def write_backup(home: Home, out: Path, passphrase: str, now: str) -> dict[str, Any]:
    """Write a backup into a folder that is not there yet; returns its manifest.

    Args:
        home: of the site, which may be served meanwhile.
        out: the folder to make, whole or not at all, mode 0700.
        passphrase: closes keys and pseudonyms.
        now: the time, UTC.

    Raises:
        NotReady: the folder is there, lies in the home, or cannot be written; a short passphrase.
    """
    _check(home.folder, out, passphrase)
    try:
        staging = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    except OSError as error:
        raise NotReady(
            f"{out} cannot be made ({error.strerror}).", "Name another folder."
        ) from error
    try:
        told = _fill(staging, home, passphrase, now)
        staging.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return told


def _check(home: Path, out: Path, passphrase: str) -> None:
    if out.exists():
        raise NotReady(f"{out} is there already.", "Name a folder that is not there yet.")
    if out.resolve().is_relative_to(home.resolve()):
        raise NotReady(f"{out} lies in the home itself.", "Name a folder on another disk.")
    if len(passphrase) < MIN_PASSPHRASE:
        raise NotReady(
            f"the passphrase has fewer than {MIN_PASSPHRASE} characters.", "Choose a longer one."
        )


def _fill(staging: Path, home: Home, passphrase: str, now: str) -> dict[str, Any]:
    """The database first: every row's file is there by then."""
    home.copy(staging / DATABASE)
    wanted = PLAIN + (DATA if home.with_data else ())
    files = {DATABASE: hash_of(staging / DATABASE)}
    for name in _names(home.folder, wanted):
        files[name] = copy_file(home.folder / name, staging / name)
    for name in _names(home.folder, _own(home.folder) if home.with_data else ()):
        with contextlib.suppress(FileNotFoundError):  # a newer round took its place
            files[name] = copy_file(home.folder / name, staging / name)
    told = {
        "v": 1,
        "site": home.site,
        "made": now,
        "version": VERSION,
        "with_data": home.with_data,
        "datasets": list(home.datasets),
        "files": files,
    }
    manifest = encode(told)
    closed = close(_secrets(home.folder), passphrase, hashlib.sha256(manifest).digest())
    write_file(staging / SECRETS, json.dumps(closed.plain("data")).encode())
    write_file(staging / MANIFEST, manifest)
    return told


def _own(home: Path) -> list[str]:
    found = sorted(path for path in home.glob(f"{MODELS}/*/*") if path.name in OWN)
    return [path.relative_to(home).as_posix() for path in found]


def _names(home: Path, wanted: Sequence[str]) -> Iterator[str]:
    """Every regular file below these names, without links and what is being written."""
    for name in wanted:
        top = home / name
        for path in sorted([top, *top.rglob("*")]):
            regular = path.is_file() and not path.is_symlink()
            if regular and not path.name.endswith(PARTIAL):
                yield path.relative_to(home).as_posix()


def _secrets(home: Path) -> bytes:
    return json.dumps(
        {name: base64.b64encode((home / name).read_bytes()).decode()
         for name in _names(home, CLOSED)}
    ).encode()  # fmt: skip


def hash_of(path: Path) -> str:
    """SHA-256 of a file, as manifests write it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def copy_file(source: Path, target: Path) -> str:
    """Copy one file, mode 0600, durable; returns the hash of what was written."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with source.open("rb") as old, _new(target) as new:
        shutil.copyfileobj(old, new, BLOCK)
        new.flush()
        os.fsync(new.fileno())
    return hash_of(target)


def write_file(path: Path, data: bytes) -> None:
    """Write a new file, mode 0600, durable."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _new(path) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _new(path: Path) -> Any:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
