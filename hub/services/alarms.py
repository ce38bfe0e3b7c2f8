"""Alarms that hospitals tell with their signs of life: kept with the time of the first hearing."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from compliance.errors import Malformed
from compliance.records.alarms import ALARMS

Plain = dict[str, Any]


def heard(told: Plain, before: Plain, now: str) -> Plain:
    """A sign of life as it is kept: each alarm with the time at which the hub first heard of it.

    Args:
        told: what the hospital says now.
        before: what was kept of it.
        now: the hub's time.

    Raises:
        Malformed: states or versions are no object, or an alarm has another form.
    """
    for part in ("states", "versions"):
        if not isinstance(told.get(part, {}), dict):
            raise Malformed("heartbeat", f"its {part} are no object")
    states = dict(told.get("states", {}))
    if "alarmed" not in states:
        return told
    kept = before.get("states", {})
    known = kept.get("alarmed", []) if isinstance(kept, dict) else []
    first = {(row["log"], row["rule"], row["at"]): row["heard"] for row in known}
    try:
        alarms = ALARMS.validate_python(states["alarmed"])
    except ValidationError:
        raise Malformed("heartbeat", "an alarm has another form") from None
    states["alarmed"] = [
        row.plain() | {"heard": first.get((row.log, row.rule, row.at), now)} for row in alarms
    ]
    return told | {"states": states}
