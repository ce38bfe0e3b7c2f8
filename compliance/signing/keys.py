"""Ed25519 keys with names, as C2SP signed-note writes them: `name+keyid+base64(type ‖ public)`.

Type 0x01 signs notes, type 0x04 cosigns checkpoints; a key never does both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from compliance.errors import Malformed

NOTE = 0x01
COSIGNATURE = 0x04
KINDS = (NOTE, COSIGNATURE)
PUBLIC_BYTES = 32
SEED_BYTES = 32
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]{1,120}")


def decode_base64(text: str, what: str) -> bytes:
    """Read standard base64 that encodes back to itself.

    Raises:
        Malformed: another alphabet, missing padding or loose trailing bits.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed(what, "it is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Malformed(what, "its base64 is not canonical")
    return data


@dataclass(frozen=True)
class VerifierKey:
    """The public half of a named key.

    Args:
        name: key name, without spaces and `+`.
        kind: 0x01 (note) or 0x04 (cosignature/v1).
        public: 32 bytes, Ed25519.
    """

    name: str
    kind: int
    public: bytes

    def __post_init__(self) -> None:
        """Refuse what C2SP signed-note does not allow."""
        if not _NAME.fullmatch(self.name):
            raise Malformed("verifier key", "its name is empty, too long, or holds a space or +")
        if self.kind not in KINDS:
            raise Malformed("verifier key", f"unknown type 0x{self.kind:02x}")
        if len(self.public) != PUBLIC_BYTES:
            raise Malformed("verifier key", "an Ed25519 key has 32 bytes")

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `name+hex(keyid)+base64(type ‖ public)`.

        Raises:
            Malformed: form, type, length or key id is wrong.
        """
        parts = text.split("+", 2)
        if len(parts) != 3:  # noqa: PLR2004 - name, id, key
            raise Malformed("verifier key", "it is not name+keyid+key")
        name, identity, body = parts
        data = decode_base64(body, "verifier key")
        if not data:
            raise Malformed("verifier key", "it is empty")
        key = cls(name, data[0], data[1:])
        if identity != key.key_id.hex():
            raise Malformed("verifier key", "its key id is not the hash of name and key")
        return key

    @cached_property
    def key_id(self) -> bytes:
        """First 4 bytes of SHA-256(name ‖ newline ‖ type ‖ public)."""
        material = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(material).digest()[:4]

    def __str__(self) -> str:
        """The key as one word."""
        body = base64.b64encode(bytes([self.kind]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{body}"

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Say whether this key made this signature (RFC 8032)."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def fingerprint(vkey: str) -> str:
    """The beginning of a public key as people compare it by telephone: four groups of 8 hex."""
    found = VerifierKey.parse(vkey).public.hex()
    return " ".join(found[start : start + 8] for start in range(0, 32, 8))


@dataclass(frozen=True)
class SigningKey:
    """The private half; never printed.

    Args:
        name: key name.
        kind: 0x01 or 0x04.
        seed: 32 bytes.
    """

    name: str
    kind: int
    seed: bytes = field(repr=False)

    @classmethod
    def generate(
        cls, name: str, kind: int = NOTE, random: Callable[[int], bytes] = secrets.token_bytes
    ) -> SigningKey:
        """Make a new key from 32 random bytes."""
        return cls(name, kind, random(SEED_BYTES))

    @cached_property
    def verifier(self) -> VerifierKey:
        """The public half."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return VerifierKey(self.name, self.kind, private.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Sign a message: 64 bytes, deterministic (RFC 8032)."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)

    def line(self, text: bytes) -> str:
        """Sign a note's text and return its signature line, newline included."""
        if self.kind != NOTE:
            raise Malformed("signature", "only a key of type 0x01 signs notes")
        body = base64.b64encode(self.verifier.key_id + self.sign(text)).decode()
        return f"— {self.name} {body}\n"
