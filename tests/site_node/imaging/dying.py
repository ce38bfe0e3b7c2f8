"""An import that kills itself at a chosen moment: `dying HOME SOURCE WHAT NTH`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from sqlalchemy import event

from site_node.imaging import reading
from site_node.imaging.importing import Importer, request_of
from site_node.store.schema import open_store
from tests.site_node.imaging.files import SECRET


class Moment:
    """Counts what happens and dies at the nth time."""

    def __init__(self, what: str, nth: int) -> None:
        self._what, self._left = what, nth

    def comes(self, what: str) -> None:
        """Something happened."""
        if what == self._what:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def main(home: Path, source: Path, moment: Moment) -> None:
    """Import with eyes on the clock."""
    reading.BATCH = 8
    sessions = open_store(home / "site.sqlite")
    event.listen(sessions.kw["bind"], "commit", lambda _: moment.comes("commit"))

    def progress(words: str, _share: float) -> None:
        first = words.split()[0]
        moment.comes(first if first in ("curating", "volume", "mask") else "batch")

    def free(_folder: Path) -> int:
        moment.comes("room")
        return 1 << 40

    importer = Importer(
        home=home, sessions=sessions, floor=5, random=lambda _: SECRET, jobs=1, free=free
    )
    recipe = home.parent / f"{home.name}-recipe.json"
    labels = source / "labels.csv"
    words = {"name": "chest", "recipe": recipe}
    words |= {"labels": labels} if labels.is_file() else {"labels": None, "seg": True}
    importer.run(request_of(source, **words), progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Moment(sys.argv[3], int(sys.argv[4])))
