"""`consilium …` with room for more than 32 members, for the benchmark of many sites only.

What all parties check when a hospital is admitted (`rules/consortium/members`) is lifted to 256;
everything else is the program as it is. Run: `python -m tests.benchmarks.wide_hub hub serve …`.
"""

from __future__ import annotations

import sys

from compliance.command import main
from compliance.rules.consortium import members

WIDE = (2, 256)


def widen() -> None:
    """Let a consortium have more members in this process."""
    members.MEMBERS = WIDE


if __name__ == "__main__":
    widen()
    raise SystemExit(main(sys.argv[1:]))
