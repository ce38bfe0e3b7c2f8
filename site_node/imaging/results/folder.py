"""The folder of results: ours alone, whole files only, each under its own number.

A result is written under another name, made durable, then renamed: whoever ends the program, and
when, finds no half file. What is there already stays as it is.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.imaging.deid.copy_file import name_of
from site_node.imaging.deid.target import check_apart
from site_node.imaging.shards import sync_folder
from site_node.store.whole import write_whole

REPORT, WORK = "predictions.json", ".partial"


class ResultFolder:
    """Where results go.

    Args:
        folder: the folder.
        model: `model_sha256`; results of two models are not mixed.
        mark: a keyed word of this site.
    """

    def __init__(self, folder: Path, model: str, mark: str) -> None:
        self.folder, self._work = folder, folder / WORK
        self._told = {"model_sha256": model, "site": mark}

    def check(self, source: Path) -> None:
        """Look whether results about this source may go here; nothing is written.

        Raises:
            NotReady: it holds something else, another model's results, or lies in the source.
        """
        check_apart(self.folder, source, "results outside the images")
        if self.folder.is_dir() and any(one.name != WORK for one in self.folder.iterdir()):
            self._check_ours()

    def _check_ours(self) -> None:
        try:
            told = json.loads((self.folder / REPORT).read_bytes())
        except (OSError, ValueError) as error:
            raise NotReady(
                f"{self.folder} is not empty and holds no results of ours.",
                "Name a new or empty folder: --out DIR.",
            ) from error
        if any(told.get(name) != value for name, value in self._told.items()):
            raise NotReady(
                f"{self.folder} holds results of another model or site.",
                "Name another folder, so that no results are mixed: --out DIR.",
            )

    def open(self) -> None:
        """Make the folder, or go on in it; what was half written is thrown away.

        Raises:
            NotReady: it cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self._work, ignore_errors=True)
            self._work.mkdir(mode=0o700)
        except OSError as error:
            raise NotReady(
                f"{self.folder} cannot be written ({error.strerror}).", "Name another --out DIR."
            ) from error
        self.report({"complete": False})

    def has(self, instance: str) -> bool:
        """Whether the result with this number is here."""
        return (self.folder / name_of(instance)).is_file()

    def put(self, instance: str, data: bytes) -> bool:
        """Write a result, unless it is here; returns whether it was written."""
        if self.has(instance):
            return False
        self._write(self.folder / name_of(instance), data)
        return True

    def report(self, told: dict[str, Any]) -> None:
        """Write what the folder holds: model and counts; no name, no file."""
        text = json.dumps(self._told | told, indent=1) + "\n"
        self._write(self.folder / REPORT, text.encode())

    def _write(self, path: Path, data: bytes) -> None:
        write_whole(path, data, self._work / path.name)
        sync_folder(self.folder)

    def results(self) -> list[Path]:
        """Every result, in order."""
        return sorted(self.folder.glob("*.dcm"))

    def close(self) -> None:
        """Leave nothing but results and report."""
        shutil.rmtree(self._work, ignore_errors=True)
