"""The child process that writes copies: the same limits as the one that imports.

It gets three derived keys through its pipe, never the site's secret and nothing on its command
line, writes the copy into its scratch file, and answers with tags and counts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from site_node.imaging.child import Act, allow, serve
from site_node.imaging.deid.profiles import Profile

PURPOSES = ("patient", "uid", "date")


def copying(scratch: Path, told: dict[str, Any]) -> Act:
    """What is done with a file: its copy into the scratch file, durable before it is answered."""
    from site_node.imaging.deid.copy_file import Order, copy_file
    from site_node.imaging.keys import SiteKeys

    keys = SiteKeys.borrowed(told["keys"])
    order = Order(Profile(told["name"], frozenset(told["codes"])), told["accept_burned_in"])

    def act(view: memoryview) -> dict[str, Any]:
        with scratch.open("wb") as out:
            os.fchmod(out.fileno(), 0o600)
            copied = copy_file(view, order, keys, out, allow)
            out.flush()
            os.fsync(out.fileno())
        return asdict(copied)

    return act


def main() -> None:
    """Read the order, then files."""
    told = json.loads(sys.stdin.buffer.readline())
    serve(lambda: copying(Path(sys.argv[1]), told))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
