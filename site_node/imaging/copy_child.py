"""The child process that writes copies: the same limits as the one that imports.

It gets its order and three derived keys through its pipe, writes the copy into its scratch file,
and answers with tags and counts. If it is to find text in pictures, it loads the reader once.
"""

from __future__ import annotations

import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from site_node.imaging.child import Act, allow, more_memory, serve


def copying(scratch: Path, line: bytes) -> Act:
    """What is done with a file: its copy into the scratch file, durable before it is answered."""
    from site_node.imaging.deid.copy_file import Pieces, copy_file
    from site_node.imaging.deid.deidentify import Deidentifier
    from site_node.imaging.deid.order import read_order
    from site_node.imaging.deid.read_pixels import Sight
    from site_node.imaging.deid.text_reader import reader_for
    from site_node.imaging.memo import Memo

    order, keys = read_order(line)
    clean, pieces = Deidentifier(order.profile, keys, Memo()).run, Pieces()
    sight = Sight(reader_for(order), allow)

    def act(view: memoryview) -> dict[str, Any]:
        with scratch.open("wb") as out:
            os.fchmod(out.fileno(), 0o600)
            copied = copy_file(view, order, keys, out, sight, clean, pieces)
            out.flush()
            os.fsync(out.fileno())
        return asdict(copied)

    return act


def main() -> None:
    """Read the order, then files."""
    line = sys.stdin.buffer.readline()
    serve(lambda: copying(Path(sys.argv[1]), line), more_memory(line))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main()
