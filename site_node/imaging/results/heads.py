"""The child process that reads whom a slice is about, and no pixel."""

from __future__ import annotations

import signal
from typing import Any

from site_node.imaging.child import Act, serve
from site_node.imaging.workers import Crew

MODULE = "site_node.imaging.results.heads"
CREW = Crew(MODULE, "heads")


def heading() -> Act:
    """What is done with a file: its header values to the parent."""
    from site_node.imaging.results.source import read_source

    def act(view: memoryview) -> dict[str, Any]:
        return {"source": read_source(view)}

    return act


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(heading)
