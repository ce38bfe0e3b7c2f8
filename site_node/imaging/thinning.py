"""The inbox made smaller: what a dataset holds as arrays need not lie here as files for ever.

Only files that some dataset holds are deleted. What is deleted can be sent or fetched again.
"""

from __future__ import annotations

from pathlib import Path

from site_node.imaging.inbox import Inbox
from site_node.imaging.intake import Found
from site_node.imaging.tally import only_one_import
from site_node.store import objects
from site_node.store.journal import Sessions


def tell(home: Path, sessions: Sessions) -> dict[str, int]:
    """Files of the inbox and their bytes, and the same of those that a dataset holds."""
    walk = Inbox(home).walk()
    held = _held(walk.files, sessions)
    sizes = {file.sha256: file.size for file in walk.files}
    return {
        "files": len(sizes),
        "bytes": sum(sizes.values()),
        "held": len(held),
        "held_bytes": sum(sizes[sha256] for sha256 in held),
    }


def thin(home: Path, sessions: Sessions) -> tuple[int, int]:
    """Delete every received file that a dataset holds; returns how many, and their bytes.

    Raises:
        NotReady: an import is running: it may be reading them.
    """
    with only_one_import(home):
        inbox = Inbox(home)
        walk = inbox.walk()
        held = _held(walk.files, sessions)
        sizes = {file.sha256: file.size for file in walk.files}
        gone = [sha256 for sha256 in sorted(held) if inbox.forget(sha256)]
    return len(gone), sum(sizes[sha256] for sha256 in gone)


def _held(files: list[Found], sessions: Sessions) -> set[str]:
    with sessions() as session:
        return objects.held_and_out(session, {file.sha256 for file in files})[0]
