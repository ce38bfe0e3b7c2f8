"""The site's keys: made here, kept here, read only for the moment of signing."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from compliance.errors import NotReady
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
        self._read: dict[str, tuple[tuple[int, int], SigningKey]] = {}

    @property
    def node(self) -> SigningKey:
        """Signs what the site reports or tightens."""
        return self._machine("node")

    @property
    def witness(self) -> SigningKey:
        """Signs checkpoints of logs that only grew."""
        return self._machine("witness")

    def _machine(self, role: str) -> SigningKey:
        """A key that needs no person; read again when another process has replaced the file."""
        path = self.path(role)
        try:
            stamp = (path.stat().st_ino, path.stat().st_mtime_ns)
        except OSError:
            return read_key(path)  # says in words what is wrong with it
        if role not in self._read or self._read[role][0] != stamp:
            self._read[role] = (stamp, read_key(path))
        return self._read[role][1]

    def institution(self, passphrase: str | None) -> SigningKey:
        """Sign for the hospital; unlocked for one act, never kept.

        Raises:
            Refused: the passphrase is wrong.
            NotReady: a passphrase is needed, or the file is missing.
        """
        return read_key(self._folder / "institution.key", passphrase)

    def holding(self, role: str, vkey: VerifierKey) -> SigningKey:
        """The node or witness key with this public half: the one in use, or the one to come.

        Raises:
            NotReady: neither has it.
        """
        for path in (self.path(role), self.coming(role)):
            if path.exists() and read_public(path) == vkey:
                return read_key(path)
        raise NotReady(
            f"the log names another {role} key of this hospital than those in {self._folder}.",
            "Restore the keys folder from the backup, or replace the key: "
            f"`consilium site rotate-key {role} --reason lost`.",
        )

    def path(self, role: str) -> Path:
        """The file of the key in use."""
        return self._folder / f"{role}.key"

    def coming(self, role: str) -> Path:
        """The file of the key that takes over when the consortium's log says so."""
        return self._folder / f"{role}.key.next"

    def coming_public(self, role: str) -> VerifierKey:
        """The public half of the key that takes over."""
        return read_public(self.coming(role))

    def prepare(
        self, role: str, site: str, passphrase: str | None, random: Callable[[int], bytes]
    ) -> VerifierKey:
        """Make the key that takes over, unless it lies here from an interrupted attempt."""
        if not self.coming(role).exists():
            key = SigningKey.generate(f"{site}/{role}", ROLES[role], random)
            write_key(self.coming(role), key, passphrase if role == "institution" else None)
        return self.coming_public(role)

    def take_over(self, role: str) -> str:
        """Put the coming key into use; the old file is kept. Returns the old file's name."""
        path = self.path(role)
        kept = path.with_name(f"{role}.key.until-{self.coming_public(role).key_id.hex()}")
        if path.exists():
            path.rename(kept)
        self.coming(role).rename(path)
        return kept.name

    @property
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
