"""The invitation code: where the hub is, who is invited, one secret, and the hub's fingerprint."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass

from compliance.errors import NotReady

PREFIX = "consilium1-"
_SITE = re.compile(r"(?=.{3,100}$)[a-z0-9-]+(\.[a-z0-9-]+)+")
_SHA = re.compile(r"(sha256:)?[0-9a-f]{64}")
FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_FIX = "Copy the whole code from the invitation, or ask the hub's administrator for a new one."


@dataclass(frozen=True)
class Invitation:
    """What a code says.

    Args:
        address: https address of the hub.
        site: name under which this hospital is invited.
        token: the secret that the hub stored as a hash; valid once.
        ca_sha256: 64 hex digits, SHA-256 of the certificate file that the hub shows.
    """

    address: str
    site: str
    token: str
    ca_sha256: str


def read_code(code: str) -> Invitation:
    """Read an invitation code.

    Raises:
        NotReady: it is no code, cut off, or names an address without https.
    """
    text = "".join(code.split())
    if not text.startswith(PREFIX):
        raise NotReady(f"this is no invitation code: it does not begin with {PREFIX}.", _FIX)
    body = text.removeprefix(PREFIX)
    try:
        value = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        made = Invitation(
            str(value["address"]).rstrip("/"),
            str(value["site"]),
            str(value["token"]),
            str(value["ca_sha256"]).removeprefix("sha256:"),
        )
    except (binascii.Error, ValueError, KeyError, TypeError):
        raise NotReady("the invitation code is damaged or cut off.", _FIX) from None
    if not made.address.startswith("https://"):
        raise NotReady("the invitation names an address without https.", _FIX)
    if not _SITE.fullmatch(made.site) or not _SHA.fullmatch(made.ca_sha256) or not made.token:
        raise NotReady("the invitation code is damaged or cut off.", _FIX)
    return made
