"""The certificates that this site rests on: what their dates say, as codes that may leave."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from compliance.signing.certificate import Validity, validity_of
from site_node.settings import Settings


def certificates_of(settings: Settings) -> dict[str, Path]:
    """The files by what they are for: the hub's authority, and our own receiver's when it is on."""
    found = {"hub": settings.ca_path}
    if settings.scp_allow and settings.scp_certificate is not None:
        found["receiver"] = settings.scp_certificate
    return found


def validities(settings: Settings, now: datetime) -> dict[str, Validity]:
    """What their dates say now."""
    return {name: validity_of(path, now) for name, path in certificates_of(settings).items()}


def codes_of(settings: Settings, now: datetime) -> dict[str, str]:
    """The codes alone, for the hub."""
    return {name: found.code for name, found in validities(settings, now).items()}
