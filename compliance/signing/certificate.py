"""How long a TLS certificate still counts: one code, read the same at the hub and at a site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509

GOOD, SOON, ENDED, EARLY, UNREADABLE = "good", "ends_soon", "ended", "early", "unreadable"
CODES = (GOOD, SOON, ENDED, EARLY, UNREADABLE)
AHEAD = timedelta(days=30)
"""So long before its end a certificate is spoken of: renewing one takes people."""


@dataclass(frozen=True)
class Validity:
    """What the dates of a certificate file say now.

    Args:
        code: of the closed list `CODES`.
        until: end of the first certificate in it that ends; None when it cannot be read.
    """

    code: str
    until: datetime | None = None


def validity_of(path: Path, now: datetime) -> Validity:
    """Read a PEM file, which may hold several certificates, and judge its dates.

    Args:
        path: of the file.
        now: the time, with its zone.
    """
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError):
        return Validity(UNREADABLE)
    until = min(one.not_valid_after_utc for one in found)
    if now < max(one.not_valid_before_utc for one in found):
        return Validity(EARLY, until)
    if now >= until:
        return Validity(ENDED, until)
    return Validity(SOON if until - now <= AHEAD else GOOD, until)
