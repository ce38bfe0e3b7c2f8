"""How a hospital is, in one word and one warning: what it says, and what it says no more.

A hospital that is silent may still knock: its refused requests tell why nothing is heard of it.
Whoever knocks in its name without its key can only make a silent hospital look refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from compliance.protocol import PROTOCOL, RULE, UNSAID
from compliance.signing.certificate import EARLY, ENDED, SOON, UNREADABLE

SILENT = timedelta(seconds=60)
KNOCK_COUNTS = timedelta(minutes=10)
REFUSED = {
    "request.signature": "key_refused",
    "request.time": "clock_refused",
    RULE: "update_required",
}
"""Why a silent hospital is not heard, by the rule that refuses it."""
UP, QUIET, SHUT_OUT = "up", "silent", "suspended"


@dataclass(frozen=True)
class Knock:
    """A request in a hospital's name that was refused before anybody listened."""

    rule: str
    at: datetime


def state_of(seen: str | None, now: datetime, *, shut: bool) -> str:
    """`suspended`, `silent` after 60 s without a sign of life, else `up`."""
    if shut:
        return SHUT_OUT
    silent = seen is None or now - datetime.fromisoformat(seen) > SILENT
    return QUIET if silent else UP


def warning_of(state: str, told: Mapping[str, Any], now: datetime, knock: Knock | None) -> str:
    """The one thing that somebody should do about this hospital; empty when there is none.

    Args:
        state: of `state_of`.
        told: its last sign of life, `states` and `versions`.
        now: the time.
        knock: its last refused request.
    """
    if state == QUIET:
        heard = knock is not None and now - knock.at <= KNOCK_COUNTS
        return REFUSED.get(knock.rule, "") if knock is not None and heard else ""
    if state != UP:
        return ""
    states, versions = told.get("states", {}), told.get("versions", {})
    for warning in (_certificate(states.get("certificates")), _resting(states.get("resting"))):
        if warning:
            return warning
    return "update_available" if versions.get("protocol", UNSAID) != PROTOCOL else ""


def _certificate(codes: object) -> str:
    found = set(codes.values()) if isinstance(codes, dict) else set()
    if found & {ENDED, EARLY, UNREADABLE}:
        return "certificate_ended"
    return "certificate_soon" if SOON in found else ""


def _resting(count: object) -> str:
    return "restored" if isinstance(count, int) and count > 0 else ""
