"""The number of the language that sites and hub speak; a hub speaks the newest two.

Each request and each answer carries it in a header. A release that changes what is sent raises the
number; hubs are upgraded first, sites when it suits them, until the hub's next release.

Source: design/packaging.md §8.
"""

from __future__ import annotations

from compliance.errors import Malformed, Refused

PROTOCOL = 2
"""What this release speaks."""
OLDEST = PROTOCOL - 1
UNSAID = 1
"""What releases spoke that sent no number."""
HEADER = "Consilium-Protocol"
RULE = "request.protocol"
SAME, AVAILABLE, REQUIRED, HUB_OLDER = "same", "update_available", "update_required", "hub_older"
DIGITS = 4


def spoken(header: str | None) -> int:
    """The number in a header; without one it is that of the releases that sent none.

    Raises:
        Malformed: it is no small number.
    """
    if header is None:
        return UNSAID
    if not (header.isascii() and header.isdigit() and len(header) <= DIGITS):
        raise Malformed("protocol", "its number is no number")
    return int(header)


def check(said: int) -> None:
    """Let a hub listen to a site that speaks its language or the one before.

    Raises:
        Refused: `request.protocol`, with who upgrades what.
    """
    if said < OLDEST:
        raise Refused(
            RULE, said, f"{OLDEST} or {PROTOCOL}",
            "This hub no longer speaks this site's protocol: install the hub's release at the "
            "site, then `consilium site upgrade`. Nothing is lost; statements wait.",
        )  # fmt: skip
    if said > PROTOCOL:
        raise Refused(
            RULE, said, f"{OLDEST} or {PROTOCOL}",
            "This site is newer than the hub: its administrator installs the site's release and "
            "runs `consilium hub upgrade`. Nothing is lost; statements wait.",
        )  # fmt: skip


def fit(site: int, hub: int) -> str:
    """How a site's number fits a hub's: same, an update is available or required, or the hub's.

    Args:
        site: what the site speaks.
        hub: the newest that the hub speaks.
    """
    if site == hub:
        return SAME
    if site > hub:
        return HUB_OLDER
    return AVAILABLE if site == hub - 1 else REQUIRED
