"""From local DICOM files to DICOM results of a released model, counted once.

What is heavy is loaded when it is needed; nothing leaves by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from compliance.errors import NotReady
from site_node.gate.released import Served
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.importing import LISTING, cores, free_bytes
from site_node.imaging.keys import open_keys
from site_node.imaging.results.folder import ResultFolder
from site_node.imaging.results.reading import Desk, read_images
from site_node.imaging.results.solid import read_volumes
from site_node.imaging.sources import Fetch, Progress, Source, working
from site_node.imaging.tally import only_one_import, write_list
from site_node.prediction.basis import Basis, basis_of, reference_row, registered
from site_node.settings import Settings
from site_node.store.journal import Sessions


@dataclass(frozen=True)
class Request:
    """What a technician asked for."""

    source: Path | str
    out: Path
    recipe: Path | None = None
    find_text: bool = False
    list_files: bool = False
    fetch: Fetch | None = None


class Predictor:
    """Uses a released model on local images.

    Args:
        settings: home and name of the site.
        sessions: the site's database.
        catalogue: the site's datasets.
        write: writes a line of the journal.
        clock: the time now.
        random: that many bytes nobody can guess, for the site's secret.
        jobs: child processes.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        sessions: Sessions,
        catalogue: Catalogue,
        write: Callable[..., None],
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
        jobs: int | None = None,
    ) -> None:
        self._settings, self._sessions, self._catalogue = settings, sessions, catalogue
        self._write, self._clock, self._random = write, clock, random
        self._jobs = jobs or cores()

    def run(self, served: Served, request: Request, progress: Progress) -> dict[str, Any]:
        """Predict every image of a source, and write one result each into a folder.

        Raises:
            NotReady: source or folder cannot be used, the import recipe is not known, the disk is
                full, or no file could be read.
            Refused: images and model do not fit.
        """
        from site_node.prediction.run import Run

        home, site = self._settings.home, str(self._settings.site)
        dataset = registered(served, site, self._catalogue)
        basis = basis_of(dataset, request.recipe, served.recipe)
        source, keys = Source(request.source, request.fetch), open_keys(home, self._random)
        folder = ResultFolder(request.out, served.used, keys.match("results", site))
        folder.check(source.place(home))
        with only_one_import(home), working(home) as work:
            progress("looking at the dataset of the study", 0.0)
            points = json.loads(reference_row(served, basis, self._sessions).points)
            walk, _ = source.walk(home, work=work, free=free_bytes, progress=progress)
            folder.open()
            find_text = basis.find_text or request.find_text
            desk = Desk(basis.recipe, keys, work, self._jobs, find_text)
            run = Run(served, basis, points, site, keys, folder, self._sessions)
            read = read_volumes if basis.recipe.solid else read_images
            for batch in read(walk.files, desk, progress):
                run.take(batch, self._clock())
            told = run.tally.plain(walk.skipped, walk.seen)
            if request.list_files:
                rows = [row for row in run.tally.left_out if row.quarantined]
                write_list(home / LISTING, [(row.file.relative, row.word) for row in rows])
        told = self._about(served, basis, points) | told
        folder.report({"complete": True} | {name: told[name] for name in ("files", "predicted")})
        folder.close()
        if not told["predicted"]:
            raise _nothing(told)
        self._record(served, told)
        return told | {"out": str(request.out)}

    def _about(self, served: Served, basis: Basis, points: dict[str, float]) -> dict[str, Any]:
        return {
            "study": served.study,
            "model_sha256": served.model_sha256,
            "log_asked": served.looked,
            "dataset": basis.dataset.name if basis.dataset else None,
            "thresholds": points,
        } | _layers(served)

    def _record(self, served: Served, told: dict[str, Any]) -> None:
        counts = {name: told[name] for name in ("files", "predicted", "written", "quarantined")}
        self._write(
            "predicted", study=served.study, model=served.model_sha256, **counts, **_layers(served)
        )


def _layers(served: Served) -> dict[str, str]:
    """Which own layers completed the model; nothing where it is whole."""
    return {} if served.own is None else {"layers": served.own.words}


def _nothing(told: dict[str, Any]) -> NotReady:
    found = told["reasons"] | told["skipped_because"]
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(found.items()))
    return NotReady(
        f"none of {told['files']} files could be given to the model ({why}).",
        "Look up each reason in the guide for hospital IT; --list-files writes which file it was.",
    )
