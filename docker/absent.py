# ruff: noqa: INP001 - a script of the image builds, no package
"""Ends a build whose image holds what it must not: `python absent.py NAME…`.

An image that could import the other programs would still pass every test of its own.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec


def present(names: list[str]) -> list[str]:
    """Those of the top-level modules that could be imported here."""
    return [name for name in names if find_spec(name) is not None]


if __name__ == "__main__":
    found = present(sys.argv[1:])
    raise SystemExit(f"This image must not hold: {', '.join(found)}." if found else 0)
