"""The site's keys: made here, kept here, read only for the moment of signing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from compliance.signing.keyfile import read_key, read_public, write_key
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey, VerifierKey

ROLES = {"institution": NOTE, "node": NOTE, "witness": COSIGNATURE}


@dataclass(frozen=True)
class PublicKeys:
    """What the hub and the other hospitals may know."""

    institution: VerifierKey
    node: VerifierKey
    witness: VerifierKey
    flower: str


class Keys:
    """The key files of one site.

    Args:
        folder: `<home>/keys`, mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def node(self) -> SigningKey:
        """Signs what the site reports or tightens."""
        return read_key(self._folder / "node.key")

    @cached_property
    def witness(self) -> SigningKey:
        """Signs checkpoints of logs that only grew."""
        return read_key(self._folder / "witness.key")

    def institution(self, passphrase: str | None) -> SigningKey:
        """Sign for the hospital; unlocked for one act, never kept.

        Raises:
            Refused: the passphrase is wrong.
            NotReady: a passphrase is needed, or the file is missing.
        """
        return read_key(self._folder / "institution.key", passphrase)

    @cached_property
    def public(self) -> PublicKeys:
        """The public halves of all four keys."""
        read = {role: read_public(self._folder / f"{role}.key") for role in ROLES}
        flower = (self._folder / "flower.pub").read_text(encoding="ascii").strip()
        return PublicKeys(**read, flower=flower)

    @property
    def flower_path(self) -> Path:
        """Flower's own node key (EC P-384, OpenSSH form)."""
        return self._folder / "flower.key"


def needs_passphrase(path: Path) -> bool:
    """Whether a key file is closed by a passphrase."""
    try:
        return "sealed" in json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def make_keys(
    folder: Path, site: str, passphrase: str | None, random: Callable[[int], bytes]
) -> dict[str, SigningKey]:
    """Make every key of a new site in an empty folder; return them by role."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = {
        role: SigningKey.generate(f"{site}/{role}", kind, random) for role, kind in ROLES.items()
    }
    for role, key in keys.items():
        write_key(folder / f"{role}.key", key, passphrase if role == "institution" else None)
    _make_flower_key(folder)
    return keys


def _make_flower_key(folder: Path) -> None:
    private = ec.generate_private_key(ec.SECP384R1())
    secret = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.OpenSSH,
        serialization.NoEncryption(),
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    for name, data in (("flower.key", secret), ("flower.pub", public + b"\n")):
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
