"""Signed requests: a site speaks to the hub with its own node key, never with a password.

The signature covers method, path, query, time, a nonce and the body's hash; the hub refuses what is
older than five minutes or comes twice.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass

from compliance.errors import Malformed
from compliance.signing.keys import SigningKey, VerifierKey, decode_base64

SCHEME = "Consilium"
MAX_AGE_SECONDS = 300
_NONCE = re.compile(r"[0-9a-f]{32}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def request_text(method: str, path_and_query: str, body: bytes, time: str, nonce: str) -> bytes:
    """The bytes that a site signs for one request."""
    digest = hashlib.sha256(body).hexdigest()
    lines = (
        "consilium/request/v1",
        method.upper(),
        path_and_query,
        time,
        nonce,
        f"sha256:{digest}",
    )
    return ("\n".join(lines) + "\n").encode()


def authorization(
    key: SigningKey,
    site: str,
    method: str,
    path_and_query: str,
    body: bytes,
    time: str,
    nonce: str,
) -> str:
    """The value of the Authorization header for one request."""
    signature = key.sign(request_text(method, path_and_query, body, time, nonce))
    return f"{SCHEME} {site} {time} {nonce} {base64.b64encode(signature).decode()}"


@dataclass(frozen=True)
class SiteRequest:
    """Who says it signed this request, when, and the signature."""

    site: str
    time: str
    nonce: str
    signature: bytes

    def verifies(self, key: VerifierKey, method: str, path_and_query: str, body: bytes) -> bool:
        """Say whether this key signed just this request."""
        text = request_text(method, path_and_query, body, self.time, self.nonce)
        return key.verifies(text, self.signature)


def parse_authorization(header: str) -> SiteRequest:
    """Read the header of a signed request.

    Raises:
        Malformed: another scheme, wrong time, nonce or base64.
    """
    words = header.split(" ")
    if len(words) != 5 or words[0] != SCHEME:  # noqa: PLR2004 - scheme, site, time, nonce, signature
        raise Malformed("authorization", "it is not a signed request")
    _, site, time, nonce, signature = words
    if not _TIME.fullmatch(time) or not _NONCE.fullmatch(nonce):
        raise Malformed("authorization", "its time or nonce has another form")
    return SiteRequest(site, time, nonce, decode_base64(signature, "authorization"))
