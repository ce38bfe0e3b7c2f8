"""The site's secret, and what is derived from it: pseudonyms, remapped UIDs, the split, leaves.

A hash without a key is no pseudonym: whoever has a list of patient numbers undoes it in a minute.
Everything here is keyed by 32 random bytes that never leave this machine; a lost key means new
pseudonyms, which is why the backup guide names the file.

Source: design/imaging.md §7; HKDF is RFC 5869.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from compliance.errors import NotReady

FILE = "secret.key"
LENGTH = 32
PURPOSES = ("patient", "uid", "date", "match", "split", "leaf", "blind")
LEAST_DAYS, SPREAD_DAYS = 365, 1826


class SiteKeys:
    """One key per purpose, so that no value of one purpose can be compared with another's."""

    def __init__(self, secret: bytes) -> None:
        self._keys = {purpose: _derive(secret, purpose) for purpose in PURPOSES}

    @classmethod
    def borrowed(cls, lent: Mapping[str, str]) -> SiteKeys:
        """Only the keys that were lent: whatever needs another one fails."""
        keys = cls.__new__(cls)
        keys._keys = {purpose: bytes.fromhex(key) for purpose, key in lent.items()}
        return keys

    def lend(self, *purposes: str) -> dict[str, str]:
        """The keys of these purposes, for a child process; the secret itself stays here."""
        return {purpose: self._keys[purpose].hex() for purpose in purposes}

    def __repr__(self) -> str:
        """Show nothing: a key in a traceback is a key in a log."""
        return "SiteKeys(…)"

    def pseudonym(self, issuer: str, patient_id: str) -> str:
        """The patient's name here: `P` and 15 base32 characters."""
        told = f"{issuer.strip()}\0{patient_id.strip()}".encode()
        return _pseudonym(self._keys["patient"], told)

    def uid(self, value: str) -> str:
        """The stand-in of a UID: a version 8 UUID as `2.25.…`, the same wherever the UID stands.

        Source: RFC 9562 §5.8, PS3.5 B.2.
        """
        made = bytearray(self._mac("uid", value.strip().encode())[:16])
        made[6] = made[6] & 0x0F | 0x80
        made[8] = made[8] & 0x3F | 0x80
        return f"2.25.{int.from_bytes(made, 'big')}"

    def days_back(self, pseudonym: str) -> int:
        """How far this patient's dates move into the past: 365 to 2190 days, never forward."""
        number = int.from_bytes(self._mac("date", pseudonym.encode())[:8], "big")
        return LEAST_DAYS + number % SPREAD_DAYS

    def match(self, kind: str, value: str) -> str:
        """A keyed stand-in by which a label finds its object; equal values give equal ones."""
        return _match(self._keys["match"], f"{kind}\0{value.strip()}".encode())

    def fraction(self, pseudonym: str) -> float:
        """Where the patient stands between 0 and 1; the same in every dataset of this site."""
        return int.from_bytes(self._mac("split", pseudonym.encode())[:8], "big") / 2**64

    def leaf(self, data: bytes) -> bytes:
        """A keyed hash, 32 bytes: does not prove to outsiders that a public image is here."""
        return self._mac("leaf", data)

    def blind(self, what: str) -> str:
        """64 hex digits that make a hash over few small numbers unguessable."""
        return self._mac("blind", what.encode()).hex()

    def _mac(self, purpose: str, data: bytes) -> bytes:
        return hmac.digest(self._keys[purpose], data, "sha256")


@lru_cache(maxsize=1 << 12)
def _pseudonym(key: bytes, told: bytes) -> str:
    return "P" + base64.b32encode(hmac.digest(key, told, "sha256")).decode()[:15]


@lru_cache(maxsize=1 << 12)
def _match(key: bytes, told: bytes) -> str:
    return hmac.digest(key, told, "sha256").hex()[:32]


def open_keys(home: Path, random: Callable[[int], bytes]) -> SiteKeys:
    """Read the site's secret, or make it at the first import; mode 0600, whole or not at all.

    Raises:
        NotReady: the file is not 32 bytes long: new pseudonyms would split old patients in two.
    """
    path = home / FILE
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        secret = random(LENGTH)
        _write_once(path, secret)
    if len(secret) != LENGTH:
        raise NotReady(f"{path} is damaged.", "Restore it from your backup; do not make a new one.")
    return SiteKeys(secret)


def _write_once(path: Path, secret: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _derive(secret: bytes, purpose: str) -> bytes:
    info = f"consilium/imaging/{purpose}/1".encode()
    return HKDF(algorithm=SHA256(), length=LENGTH, salt=None, info=info).derive(secret)
