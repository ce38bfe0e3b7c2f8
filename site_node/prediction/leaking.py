"""The membership test of a model before it leaves: done here, kept here, shown to the steward.

Source: design/federation.md §8.4.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compliance.canonical import encode
from compliance.errors import NotReady
from compliance.records.recipe import Recipe, layout_of
from site_node.gate.leaks import Held, held_datasets
from site_node.gate.model_file import open_model, vector_of
from site_node.gate.released import OwnOf, RecipeOf
from site_node.gate.releasing import Candidate, Releasing
from site_node.gate.weights import Weights
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.sources import Progress
from site_node.prediction.owned import whole_of
from site_node.store import predictions as table
from site_node.store.journal import Sessions


class LeakTesting:
    """Tests a model that would leave.

    Args:
        site: this hospital.
        releasing: finds the model, by this hospital's own fold.
        weights: models that came in.
        catalogue: the site's datasets.
        sessions: the site's database.
        recipe_of: the recipe with a hash.
        own_of: the own layers for a model.
        write: writes a line of the journal.
    """

    def __init__(  # noqa: PLR0913 - built by hand in one place, each part named
        self,
        *,
        site: str,
        releasing: Releasing,
        weights: Weights,
        catalogue: Catalogue,
        sessions: Sessions,
        recipe_of: RecipeOf,
        own_of: OwnOf,
        write: Callable[..., None],
    ) -> None:
        self._site, self._releasing, self._weights = site, releasing, weights
        self._catalogue, self._sessions = catalogue, sessions
        self._recipe_of, self._own_of, self._write = recipe_of, own_of, write

    def run(
        self, study: str, model: str | None, file: Path | None, progress: Progress
    ) -> dict[str, Any]:
        """Test the newest model of a study, or the one that is named; the answer is kept.

        Args:
            study: first characters of the study's or charter's id.
            model: first characters of the model's hash; None is the newest model.
            file: the model, where this hospital was not given it.
            progress: told how far it is.

        Raises:
            NotReady: model or dataset are not here, or the layers that the model lacks.
            Malformed, NotProven: the file is another model.
        """
        found = self._releasing.candidate(study, model)
        recipe = self._recipe_of(found.state.charter.recipe.sha256, None)
        own = self._own_of(found.study, found.state, recipe, found.model)
        vector = whole_of(self._vector(found, recipe, file), own, recipe)
        about = {"model_sha256": found.model} | ({} if own is None else {"layers": own.words})
        rows = [
            self._test(found, held, vector, recipe, about, progress)
            for held in held_datasets(found.state, self._site)
        ]
        return {"study": found.study, "datasets": rows} | about

    def attempt(self, study: str, model: str | None, progress: Progress) -> None:
        """Test what can be tested and was not; what cannot stays not tested, with its reason."""
        found = self._releasing.candidate(study, model)
        if found.checks["leak_tests"]:
            return
        try:
            self.run(study, model, None, progress)
        except NotReady as error:
            self._write("leak.not.tested", study=found.study, model=found.model, said=str(error))

    def _test(
        self,
        found: Candidate,
        held: Held,
        vector: NDArray[np.float32],
        recipe: Recipe,
        about: dict[str, Any],
        progress: Progress,
    ) -> dict[str, Any]:
        from site_node.training.datasets import check_fit, open_dataset
        from site_node.training.membership import leak_test

        data = open_dataset(self._catalogue.get(held.name, held.version).dir)
        check_fit(data, recipe)
        told = leak_test(vector, data, recipe, progress)
        told |= {"v": 1, "dataset": held.name, "version": held.version} | about
        with self._sessions.begin() as session:
            table.keep_leak_test(session, found.model, held.version, encode(told))
        said = {"outcome": told["outcome"], "leaks": told["leaks"], "dataset": held.name}
        self._write("leak.tested", study=found.study, model=found.model, **said)
        return told

    def _vector(self, found: Candidate, recipe: Recipe, file: Path | None) -> NDArray[np.float32]:
        if file is not None:
            named = open_model(file)
            if named.metadata.get("model_sha256") != found.model:
                raise NotReady(
                    f"{file} is another model than {found.model[:23]}….",
                    "Name the file of that model, or the other model with --model.",
                )
            return vector_of(named, recipe)
        values = self._weights.read(found.study, found.model, layout_of(recipe).sha256)
        if values is None:
            raise NotReady(
                f"the model {found.model[:23]}… did not come to this hospital.",
                "Ask the researcher for the file and name it: --file MODEL.safetensors.",
            )
        return np.frombuffer(values, "<f4").astype(np.float32)
