"""Printed names, from the hub's erasable directory; no entry attests them.

Source: design/compliance.md §1.2 (`people.csv`, kind U), design/ledger.md §12.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

from compliance.report.kinds import PEOPLE
from compliance.report.log import Files
from compliance.report.write import write_csv

HEAD = ["key", "name"]


def write_people(names: Mapping[str, str]) -> bytes:
    """Key name or directory id, and the name to print; sorted."""
    return write_csv(HEAD, sorted(names.items()))


def names(attached: Files) -> dict[str, str]:
    """Printed names by key or directory id; empty when the bundle has none that can be read."""
    text = attached.get(PEOPLE, b"").decode(errors="replace")
    try:
        rows = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:
        return {}
    return {row[0]: row[1] for row in rows if len(row) == len(HEAD) and row != HEAD}


def person(body: Any) -> str:
    """Directory id of the dashboard user behind a statement of the hub, or nothing."""
    who = getattr(body, "on_behalf", None)
    return str(who.dir) if who is not None else ""
