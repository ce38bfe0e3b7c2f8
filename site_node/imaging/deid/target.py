"""The folder of the copies: its own, of one profile and one site, never half a file in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.imaging.deid.order import Order
from site_node.imaging.shards import sync_folder
from site_node.store.whole import write_whole

REPORT, WORK = "deidentification.json", ".partial"


class Target:
    """Where copies go.

    Args:
        folder: the folder.
        order: what was done with all copies in it.
        mark: a keyed word of this site.
    """

    def __init__(self, folder: Path, order: Order, mark: str) -> None:
        self.folder, self.work = folder, folder / WORK
        profile = order.profile
        self._told = {
            "profile": profile.plain(),
            "profile_sha256": profile.sha256,
            "site": mark,
            "find_text": order.find_text,
        }

    def check(self, source: Path) -> None:
        """Look whether copies of this source may go here, before anything is fetched or written.

        Raises:
            NotReady: it holds something else, another profile's copies, or lies in the source.
        """
        check_apart(self.folder, source, "copies outside the originals")
        if self.folder.is_dir():
            self._check()

    def open(self) -> None:
        """Make the folder, or go on in it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(mode=0o700)
        self.report({"complete": False})

    def _check(self) -> None:
        path = self.folder / REPORT
        if not any(entry.name != WORK for entry in self.folder.iterdir()):
            return
        try:
            told = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise NotReady(
                f"{self.folder} is not empty and holds no copies of ours.",
                "Name a new or empty folder: --out DIR.",
            ) from error
        if any(told.get(name, False) != value for name, value in self._told.items()):
            raise NotReady(
                f"{self.folder} holds copies of another profile, release, site or --find-text.",
                "Name another folder, so that no copies are mixed: --out DIR.",
            )

    def take(self, scratch: Path, number: int) -> Path:
        """Take over what a child wrote, under a name of our own."""
        waiting = self.work / f"{number}.waiting"
        scratch.replace(waiting)
        return waiting

    def report(self, told: dict[str, Any]) -> None:
        """Write what the folder holds: profile, counts, tags; whole or not at all."""
        text = json.dumps(self._told | told, indent=1) + "\n"
        write_whole(self.folder / REPORT, text.encode(), self.work / REPORT)
        sync_folder(self.folder)

    def close(self) -> None:
        """Leave nothing but copies and report."""
        shutil.rmtree(self.work, ignore_errors=True)


def check_apart(folder: Path, source: Path, wanted: str) -> None:
    """Refuse a folder that lies in what is read, or the other way round.

    Raises:
        NotReady: they lie in each other; `wanted` says which folder to name.
    """
    inside, outside = folder.resolve(), source.resolve()
    if outside == inside or outside in inside.parents or inside in outside.parents:
        raise NotReady(
            f"{folder} and {source} lie in each other.",
            f"Name a folder for the {wanted}: --out DIR.",
        )
