"""What a passphrase closes: key files, and the secrets of a backup.

scrypt (n = 2^15, r = 8, p = 1; RFC 7914) and AES-256-GCM (NIST SP 800-38D).
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

KDF, COST = "scrypt", 2**15
SALT_BYTES, NONCE_BYTES, KEY_BYTES = 16, 12, 32


class WrongPassphrase(Exception):
    """The passphrase is another one, or what was closed was changed."""


@dataclass(frozen=True)
class Closed:
    """Bytes under a passphrase.

    Args:
        salt: 16 random bytes for scrypt.
        nonce: 12 random bytes for AES-GCM.
        data: the closed bytes, 16 longer than the open ones.
    """

    salt: bytes
    nonce: bytes
    data: bytes

    def plain(self, name: str) -> dict[str, str | int]:
        """The parts for a JSON document; `name` is the field of the closed bytes."""
        parts = {"salt": self.salt, "nonce": self.nonce, name: self.data}
        texts = {field: base64.b64encode(value).decode() for field, value in parts.items()}
        return {"kdf": KDF, "n": COST, **texts}

    @classmethod
    def of(cls, plain: dict[str, str], name: str) -> Closed:
        """Read what `plain` wrote.

        Raises:
            KeyError, TypeError, ValueError: it has another form.
        """
        return cls(*(base64.b64decode(plain[field]) for field in ("salt", "nonce", name)))


def close(data: bytes, passphrase: str, bound: bytes) -> Closed:
    """Close bytes under a passphrase.

    Args:
        data: what to close.
        passphrase: as a person types it.
        bound: what it belongs to, such as a name; it opens with the same bytes only.
    """
    salt, nonce = secrets.token_bytes(SALT_BYTES), secrets.token_bytes(NONCE_BYTES)
    return Closed(salt, nonce, AESGCM(_stretch(passphrase, salt)).encrypt(nonce, data, bound))


def open_closed(closed: Closed, passphrase: str, bound: bytes) -> bytes:
    """Open what `close` closed.

    Raises:
        WrongPassphrase: another passphrase, other bytes, or bound to something else.
        ValueError: the nonce has another length.
    """
    try:
        opener = AESGCM(_stretch(passphrase, closed.salt))
        return opener.decrypt(closed.nonce, closed.data, bound)
    except InvalidTag:
        raise WrongPassphrase from None


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Scrypt(salt=salt, length=KEY_BYTES, n=COST, r=8, p=1).derive(passphrase.encode())
