"""Which model may be used here: only one whose release stands in a log that this site mirrors.

Steps, in this order, each refused by name: (1) the file is a safetensors file; (2) a mirrored log
without alarm made this model and released it, and has not called it back; (3) the recipe is the
charter's; (4) network and layout are the recipe's; (5) the numbers have the hash that the log
names; (6) label map and preparation are those of the charter. A wrong network with plausible
numbers has led to false publications elsewhere.

Source: design/federation.md §4.1, §8.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compliance.canonical import digest_of
from compliance.errors import NotProven, NotReady, Refused, Unreachable
from compliance.records.charter import CharterBody
from compliance.records.model_file import ModelFile
from compliance.records.recipe import Recipe, layout_of
from compliance.rules.releases import RELEASED
from compliance.rules.state import StudyState
from site_node.gate.locals import Own
from site_node.gate.mirror import Mirror, find_mirrored
from site_node.gate.model_file import open_model, vector_of
from site_node.gate.weights import Weights

RecipeOf = Callable[[str, bytes | None], Recipe]
OwnOf = Callable[[str, StudyState, Recipe, str], Own | None]
"""This hospital's own layers for a model of a study; `Locals.of_model`."""


@dataclass(frozen=True)
class Served:
    """A released model, checked and ready to be used.

    Args:
        study: its study.
        charter: of the study, as it is in force.
        versions: newest registered version of each dataset, by hospital and name.
        model_sha256: its name.
        recipe: network, classes, preparation.
        vector: float32, shape (count,).
        looked: whether the log was brought up to date just now: a recall would be seen.
        own: this hospital's own layers, where the study keeps some out of the model.
    """

    study: str
    charter: CharterBody
    versions: dict[tuple[str, str], str]
    model_sha256: str
    recipe: Recipe
    vector: NDArray[np.float32]
    looked: bool
    own: Own | None = None

    @property
    def used(self) -> str:
        """The model as it is used here: with its layers it is another one than without."""
        return self.model_sha256 if self.own is None else f"{self.model_sha256}+{self.own.sha256}"


class ReleasedModels:
    """Finds the model that a person named, and refuses every other.

    Args:
        mirror: this site's own copies of the logs.
        weights: models that came in.
        look: brings the mirror of a study up to date, as a witness does.
        recipe_of: the recipe with a hash.
        own_of: the own layers for a model.
    """

    def __init__(
        self,
        *,
        mirror: Mirror,
        weights: Weights,
        look: Callable[[str], object],
        recipe_of: RecipeOf,
        own_of: OwnOf,
    ) -> None:
        self._mirror, self._weights, self._look = mirror, weights, look
        self._recipe_of, self._own_of = recipe_of, own_of

    def of_study(self, study: str) -> Served:
        """The newest released model of a study, from what this hospital was given.

        Raises:
            NotReady: nothing was released, the model did not come here, or it lacks layers that
                this hospital does not have.
            Refused: it was called back, or its log is not believed.
        """
        full = find_mirrored(self._mirror, study)
        looked = self._looked(full)
        state = self._believed(full)
        model = _newest(state)
        recipe = self._recipe_of(state.charter.recipe.sha256, None)
        values = self._weights.read(full, model, layout_of(recipe).sha256)
        if values is None:
            raise NotReady(
                f"the released model {model[:23]}… is not here.",
                "Let the researcher download it, then name the file with --model.",
            )
        vector = np.frombuffer(values, "<f4").astype(np.float32)
        check_terms(state.charter, recipe)
        return self._served(full, state, model, recipe, vector, looked=looked)

    def of_file(self, path: Path, study: str | None = None) -> Served:
        """The model of a file.

        Raises:
            Malformed: it is no safetensors file, or another network.
            NotReady: it lacks layers that this hospital does not have.
            NotProven: hash, layout, recipe, label map or preparation are others.
            Refused: no mirrored log released it, or it was called back.
        """
        file = open_model(path)
        claimed = file.metadata.get("model_sha256", "")
        full = self._study_of(claimed, study)
        looked = self._looked(full)
        state = self._believed(full)
        check_released(state, claimed)
        recipe = self._recipe_of(state.charter.recipe.sha256, None)
        check_file(file, recipe, state.charter)
        vector = vector_of(file, recipe)
        return self._served(full, state, claimed, recipe, vector, looked=looked)

    def own_layers(self, model: str, recipe: Recipe) -> Own | None:
        """The own layers for a model of any mirrored study, released or not; None if it is whole.

        Raises:
            NotReady: this hospital has none.
            Refused: no mirrored study made the model, or by another recipe.
        """
        if recipe.personal is None:
            return None
        full = self._study_of(model, None)
        state = self._believed(full)
        if state.charter.recipe.sha256 != recipe.sha256:
            raise Refused("release.model", sentence="The model's study has another recipe.")
        return self._own_of(full, state, recipe, model)

    def _served(
        self,
        study: str,
        state: StudyState,
        model: str,
        recipe: Recipe,
        vector: NDArray[np.float32],
        *,
        looked: bool,
    ) -> Served:
        return Served(
            study=study,
            charter=state.charter,
            versions=dict(state.dataset_versions),
            model_sha256=model,
            recipe=recipe,
            vector=vector,
            looked=looked,
            own=self._own_of(study, state, recipe, model),
        )

    def _study_of(self, model: str, study: str | None) -> str:
        if study is not None:
            return find_mirrored(self._mirror, study)
        for head in self._mirror.heads():
            if self._mirror.state(head.study).is_round_model(model):
                return head.study
        raise Refused(
            "release.model",
            sentence="No study that is mirrored here made this model: it cannot be used here.",
        )

    def _looked(self, study: str) -> bool:
        """Bring the mirror up to date; a hub that is away leaves the own copy."""
        try:
            self._look(study)
        except Unreachable:
            self._mirror.forget(study)
            return False
        except NotReady:
            return False
        return True

    def _believed(self, study: str) -> StudyState:
        for alarm in self._mirror.alarms(study):
            raise Refused(alarm.rule, sentence=f"The log is not believed: {alarm.finding}")
        return self._mirror.state(study)


def check_released(state: StudyState, model: str) -> None:
    """Refuse a model that was not released, or that was called back.

    Raises:
        Refused: with what the log says about it.
    """
    if not state.is_round_model(model):
        raise Refused(
            "release.model", sentence="No closed round of this study made the model of this file."
        )
    where = state.released.get(model)
    if where is None:
        raise Refused(
            "release.model",
            sentence="The hospitals have not released this model: it cannot be used.",
        )
    if where != RELEASED:
        raise Refused(
            "release.model", sentence="This model was called back: it must not be used any more."
        )


def check_file(file: ModelFile, recipe: Recipe, charter: CharterBody) -> None:
    """Compare what a file says of itself with the charter; the numbers come afterwards.

    Raises:
        NotProven: the step that does not hold.
    """
    told, layout = file.metadata, layout_of(recipe).sha256
    steps = (
        ("model.recipe", "recipe_sha256", charter.recipe.sha256, "recipe"),
        ("model.layout", "layout_sha256", layout, "layout"),
        ("model.labels", "label_map_sha256", charter.task.label_map_sha256, "label map"),
        ("model.preparation", "preprocessing_sha256", charter.task.preprocessing_sha256,
         "preparation of images"),
    )  # fmt: skip
    for step, field, agreed, words in steps:
        if told.get(field) != agreed:
            found = str(told.get(field) or "none")[:80]
            raise NotProven(step, f"the file names {words} {found}, the charter {agreed}")
    check_terms(charter, recipe)


def check_terms(charter: CharterBody, recipe: Recipe) -> None:
    """Compare label map and preparation of a recipe with those of its charter.

    Raises:
        NotProven: they are others.
    """
    if digest_of(list(recipe.classes)) != charter.task.label_map_sha256:
        raise NotProven("model.labels", "the recipe's classes are not the charter's label map")
    if digest_of(recipe.preprocessing.plain()) != charter.task.preprocessing_sha256:
        raise NotProven("model.preparation", "the recipe prepares images in another way")


def _newest(state: StudyState) -> str:
    made = [row.model_sha256 for row in state.rounds_closed]
    released = [name for name in made if state.released.get(name) == RELEASED]
    if released:
        return released[-1]
    if state.released:
        raise Refused(
            "release.model", sentence="Every released model of this study was called back."
        )
    raise NotReady(
        "no model of this study was released yet.",
        "At each hospital the steward agrees with `consilium site release STUDY`.",
    )
