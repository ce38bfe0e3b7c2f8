"""What changes from one text of several to the next: every field that differs, by its place."""

from __future__ import annotations

from typing import Any

Difference = tuple[str, Any, Any]
"""Place, what stood there, what stands there now."""


def differences(before: Any, after: Any, place: str = "") -> list[Difference]:
    """Every field that differs between two plain texts; lists of other length differ as a whole."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        names = sorted(before.keys() | after.keys())
        pairs = [(f"{place}.{name}" if place else name, name) for name in names]
        found = [differences(before.get(name), after.get(name), where) for where, name in pairs]
        return [row for rows in found for row in rows]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        numbered = enumerate(zip(before, after, strict=True))
        found = [differences(old, new, f"{place}[{number}]") for number, (old, new) in numbered]
        return [row for rows in found for row in rows]
    return [(place, before, after)]
