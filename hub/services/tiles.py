"""Static tiles of a log (C2SP tlog-tiles), so that foreign tools can read and check it.

A full tile never changes and neither does a partial one: what is there may be kept for ever.
"""

from __future__ import annotations

import re

from compliance.ledger.tiles import WIDTH, entry_bundle
from hub.storage import ledger as rows
from hub.storage.database import Database

HEIGHT = 8
MOST_LEVEL = 7
_PATH = re.compile(
    r"(?P<level>entries|0|[1-9][0-9]?)/(?P<number>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


class TileService:
    """Hands out tiles.

    Args:
        database: where entries and nodes lie.
    """

    def __init__(self, *, database: Database) -> None:
        self._database = database

    def tile(self, log: str, path: str) -> bytes | None:
        """The bytes of a tile, or None where the log has none of this path.

        Args:
            log: which log.
            path: what follows `tile/`: `<level>/<number>[.p/<width>]`, `entries/…`; the number in
                groups of three digits, all but the last with an `x` before.
        """
        asked = read_path(path)
        if asked is None:
            return None
        level, number, width = asked
        begin, end = number * WIDTH, number * WIDTH + width
        with self._database.reading() as session:
            size = rows.log_size(session, log)
            if level is None:
                found = rows.read_entries(session, log, begin, end) if end <= size else None
                return None if found is None else entry_bundle(found)
            if level > MOST_LEVEL or end > size >> (HEIGHT * level):
                return None
            return b"".join(rows.read_nodes(session, log, HEIGHT * level, begin, end))


def read_path(path: str) -> tuple[int | None, int, int] | None:
    """Level (None for entries), number and width of a tile; None if it is written otherwise."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    groups = found["number"].split("/")
    width = int(found["width"] or WIDTH)
    if width > WIDTH or (found["width"] and width == WIDTH) or groups[0] == "x000":
        return None
    number = int("".join(group.removeprefix("x") for group in groups))
    level = None if found["level"] == "entries" else int(found["level"])
    return level, number, width
