"""The newest model that this hospital was given for each study, kept for the day the hub is lost.

No log holds model weights. With the model from which the last round went on and every hospital's
own update, a successor makes the newest model again, to the last bit. Nothing here leaves by
itself: a person writes it into a folder (`consilium site mirror --weights`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compliance.errors import NotProven, NotReady, Refused
from compliance.records.layout import model_sha256
from compliance.records.recipe import Recipe
from compliance.rules.state import StudyState
from site_node.gate.mirror import Mirror
from site_node.gate.terms import known_recipe
from site_node.store import studies as decisions
from site_node.store.journal import Sessions
from site_node.store.whole import write_whole

RECIPE, MODELS, UPDATES = "recipe.json", "models", "updates"


class Weights:
    """Keeps one model a study, and writes what a successor may need.

    Args:
        home: of this site; models lie below `models/<study>/`, updates below `replies/`.
        site: this hospital.
        mirror: which model is the newest, by this site's own folds.
        sessions: the site's database, for recipes.
    """

    def __init__(self, *, home: Path, site: str, mirror: Mirror, sessions: Sessions) -> None:
        self._home, self._site = home, site
        self._mirror, self._sessions = mirror, sessions

    def keep(self, study: str, model_sha256: str, values: bytes | memoryview) -> None:
        """Keep a model whose hash was checked, in the place of the one before.

        Args:
            study: a study's id.
            model_sha256: its name.
            values: float32, little-endian.
        """
        path = self._models(study) / _file(model_sha256)
        if path.exists():
            return
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, values)
        for old in path.parent.glob("*.f32"):
            if old != path:
                old.unlink(missing_ok=True)

    def read(self, study: str, model: str, layout_sha256: str) -> bytes | None:
        """The values of a kept model, checked against its name; None when it is not here.

        Raises:
            NotProven: the file was changed.
        """
        path = self._models(study) / _file(model)
        if not path.is_file():
            return None
        values = path.read_bytes()
        if model_sha256(layout_sha256, values) != model:
            raise NotProven("model.hash", "the kept file of this model was changed")
        return values

    def destroy(self, study: str) -> None:
        """Delete the model that was kept for a study."""
        shutil.rmtree(self._models(study), ignore_errors=True)

    def write(self, out: Path) -> list[dict[str, Any]]:
        """Write recipe, model and own update of each mirrored study below `out/<study>/`.

        Returns:
            For each study how many models and updates were written.

        Raises:
            NotReady: the folder cannot be written.
        """
        told = []
        for head in self._mirror.heads():
            state, folder = self._mirror.state(head.study), out / head.study
            try:
                recipe = self._recipe(state)
                if recipe is not None:
                    folder.mkdir(parents=True, exist_ok=True)
                    (folder / RECIPE).write_bytes(recipe.encode())
                counts = {
                    kind: _copy(paths, folder / kind)
                    for kind, paths in (
                        (MODELS, self._wanted_models(head.study, state)),
                        (UPDATES, self._wanted_updates(state)),
                    )
                }
            except OSError as error:
                raise NotReady(
                    f"{folder} cannot be written ({error.strerror}).",
                    "Name another folder with --out.",
                ) from error
            told.append({"study": head.study} | counts)
        return told

    def _wanted_models(self, study: str, state: StudyState) -> Iterator[Path]:
        for name in {state.model_sha256, state.last_base}:
            yield self._models(study) / _file(name)

    def _wanted_updates(self, state: StudyState) -> Iterator[Path]:
        for made in state.rounds_closed[-1:]:
            if self._site in made.used:
                yield self._home / "replies" / _file(made.used[self._site])

    def _recipe(self, state: StudyState) -> Recipe | None:
        sha256 = state.charter.recipe.sha256
        with self._sessions() as session:
            data = decisions.find_document(session, sha256)
        try:
            return known_recipe(sha256, data)
        except Refused:
            return None

    def _models(self, study: str) -> Path:
        return self._home / "models" / study


def _copy(paths: Iterator[Path], folder: Path) -> int:
    count = 0
    for path in paths:
        if path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / path.name)
            count += 1
    return count


def _file(name: str) -> str:
    return f"{name.removeprefix('sha256:')}.f32"
