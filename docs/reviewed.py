"""Name clauses that nobody has read for 400 days: `python -m docs.reviewed 2026-11-25`."""

from __future__ import annotations

import sys
from datetime import date

from compliance.report.clauses import overdue


def main(arguments: list[str]) -> int:
    """Name them; 1 when there is one.

    Args:
        arguments: the day of today, YYYY-MM-DD: no clock is read here.
    """
    old = overdue(date.fromisoformat(arguments[0]))
    for clause in old:
        sys.stdout.write(f"read again: {clause} in compliance/report/clauses.py\n")
    return 1 if old else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
