"""Sealed details: what a statement commits to without telling it, so that it can be forgotten.

The envelope carries `sealed` = SHA-256(salt ‖ JCS(payload)). Payload and salt lie beside the log;
when both are deleted, every proof still holds, and nobody can confirm a guess: 16 random bytes are
missing.

Source: design/ledger.md §12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compliance import canonical
from compliance.errors import Malformed, NotProven

SALT_BYTES = 16
MOST_BYTES = 65_536
"""A sealed payload is a detail, not an archive."""


@dataclass(frozen=True)
class Sealed:
    """A payload with its salt, in the form that is hashed.

    Args:
        salt: 16 random bytes, drawn for this payload alone.
        data: the payload in its canonical form.
    """

    salt: bytes
    data: bytes

    @property
    def commitment(self) -> str:
        """What the envelope of the statement carries."""
        return canonical.sha256_id(self.salt + self.data)

    @property
    def payload(self) -> dict[str, Any]:
        """The payload itself."""
        return _object(canonical.decode(self.data))


def seal_payload(payload: dict[str, Any], salt: bytes) -> Sealed:
    """Make a payload ready to be committed to.

    Args:
        payload: a JSON object under the number rules of the log: no fraction, no large integer.
        salt: 16 random bytes.

    Raises:
        Malformed: no object, too large, a number that a log does not take, or another salt.
    """
    if len(salt) != SALT_BYTES:
        raise Malformed("salt", f"it has {len(salt)} bytes, not {SALT_BYTES}")
    data = canonical.encode(_object(payload))
    if len(data) > MOST_BYTES:
        raise Malformed("sealed payload", f"it has {len(data)} bytes, at most {MOST_BYTES}")
    return Sealed(salt, data)


def commitment(salt: bytes, payload: dict[str, Any]) -> str:
    """SHA-256(salt ‖ JCS(payload)), as the envelope carries it; raises as `seal_payload`."""
    return seal_payload(payload, salt).commitment


def open_sealed(said: str, salt: bytes, data: bytes) -> dict[str, Any]:
    """Read a payload that was kept, if it is the one that the statement commits to.

    Args:
        said: the commitment in the envelope.
        salt: as kept.
        data: the canonical payload, as kept.

    Raises:
        NotProven: salt and payload are not those of this commitment.
        Malformed: they have another form.
    """
    sealed = seal_payload(_object(canonical.decode(data)), salt)
    if sealed.commitment != said:
        raise NotProven("sealed", "salt and payload are not those that the statement commits to.")
    return sealed.payload


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        raise Malformed("sealed payload", "it is no JSON object with fields")
    return value
