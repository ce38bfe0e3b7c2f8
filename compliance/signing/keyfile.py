"""Key files: one JSON document, mode 0600, the seed under a passphrase where a person holds it."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

from compliance.errors import Malformed, NotReady, Refused
from compliance.signing.keys import SEED_BYTES, SigningKey, VerifierKey
from compliance.signing.passphrase import Closed, WrongPassphrase, close, open_closed

SEED = "seed"


def write_key(path: Path, key: SigningKey, passphrase: str | None = None) -> None:
    """Write a key to a new file; an existing key is never overwritten.

    Raises:
        NotReady: the file exists, or the folder cannot be written.
    """
    document: dict[str, Any] = {"v": 1, "name": key.name, "kind": key.kind}
    document["public"] = str(key.verifier)
    if passphrase is None:
        document["seed"] = base64.b64encode(key.seed).decode()
    else:
        document["sealed"] = close(key.seed, passphrase, key.name.encode()).plain(SEED)
    _write_once(path, json.dumps(document, indent=1).encode() + b"\n")


def read_key(path: Path, passphrase: str | None = None) -> SigningKey:
    """Read a key file.

    Raises:
        NotReady: missing, readable by others, or a passphrase is needed.
        Refused: the passphrase is wrong (`key.passphrase`).
        Malformed: not a key file.
    """
    document = _read(path)
    try:
        public = VerifierKey.parse(document["public"])
        if SEED in document:
            seed = base64.b64decode(document[SEED])
        else:
            seed = _unsealed(public.name, Closed.of(document["sealed"], SEED), passphrase)
    except (KeyError, TypeError, ValueError, AttributeError, Malformed):
        raise Malformed(f"key file {path}", "it is not a Consilium key file") from None
    key = SigningKey(public.name, public.kind, seed)
    if len(seed) != SEED_BYTES or key.verifier != public:
        raise Malformed(f"key file {path}", "its two halves do not belong together")
    return key


def _unsealed(name: str, sealed: Closed, passphrase: str | None) -> bytes:
    if passphrase is None:
        raise NotReady(f"the key {name} is protected.", "Give its passphrase.")
    try:
        return open_closed(sealed, passphrase, name.encode())
    except WrongPassphrase:
        raise Refused(
            "key.passphrase", sentence=f"The passphrase of {name} is wrong; nothing was signed."
        ) from None


def read_public(path: Path) -> VerifierKey:
    """Read the public half only; no passphrase is needed.

    Raises:
        NotReady, Malformed: as `read_key`.
    """
    return VerifierKey.parse(str(_read(path).get("public", "")))


def _read(path: Path) -> dict[str, Any]:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except OSError as error:
        raise NotReady(
            f"the key file {path} cannot be read ({error.strerror}).", "Join first."
        ) from None
    if stat.S_IMODE(mode) & 0o077:
        raise NotReady(f"the key file {path} is open to others.", f"Run: chmod 600 {path}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Malformed(f"key file {path}", "it is not a Consilium key file")
    return document


def _write_once(path: Path, data: bytes) -> None:
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.unlink(missing_ok=True)
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(part, path)
        part.unlink()
    except OSError as error:
        if isinstance(error, FileExistsError) and path.exists():
            part.unlink(missing_ok=True)
            raise NotReady(f"the key file {path} exists.", "A key is never overwritten.") from None
        raise NotReady(
            f"the key file {path} cannot be written ({error.strerror}).", "Give write access."
        ) from None
