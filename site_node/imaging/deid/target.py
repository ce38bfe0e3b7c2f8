"""The folder of the copies: its own, of one profile and one site, never half a file in it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.imaging.deid.profiles import Profile
from site_node.imaging.shards import sync_folder

REPORT, WORK = "deidentification.json", ".partial"


class Target:
    """Where copies go.

    Args:
        folder: the folder.
        profile: of all copies in it.
        mark: a keyed word of this site.
    """

    def __init__(self, folder: Path, profile: Profile, mark: str) -> None:
        self.folder, self.work = folder, folder / WORK
        self._told = {"profile": profile.plain(), "profile_sha256": profile.sha256, "site": mark}

    def open(self, source: Path) -> None:
        """Make the folder, or go on in it.

        Raises:
            NotReady: it holds something else, another profile's copies, or lies in the source.
        """
        inside, outside = self.folder.resolve(), source.resolve()
        if outside == inside or outside in inside.parents or inside in outside.parents:
            raise NotReady(
                f"{self.folder} and {source} lie in each other.",
                "Name a folder for the copies outside the originals: --out DIR.",
            )
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._check()
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
        if any(told.get(name) != value for name, value in self._told.items()):
            raise NotReady(
                f"{self.folder} holds copies of another profile, release or site.",
                "Name another folder, so that no copies are mixed: --out DIR.",
            )

    def take(self, scratch: Path, number: int) -> Path:
        """Take over what a child wrote, under a name of our own."""
        waiting = self.work / f"{number}.waiting"
        scratch.replace(waiting)
        return waiting

    def report(self, told: dict[str, Any]) -> None:
        """Write what the folder holds: profile, counts, tags; whole or not at all."""
        partial = self.work / REPORT
        with partial.open("w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(json.dumps(self._told | told, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / REPORT)
        sync_folder(self.folder)

    def close(self) -> None:
        """Leave nothing but copies and report."""
        shutil.rmtree(self.work, ignore_errors=True)
