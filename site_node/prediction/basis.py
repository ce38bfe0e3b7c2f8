"""On what a prediction rests: the import recipe of this hospital's dataset, and its numbers.

A model is used on images that were made as those it was trained on here; what it says later is
compared with the version of the dataset that the log names.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from compliance.errors import NotReady, Refused
from compliance.records.families import misfit
from compliance.records.recipe import Recipe
from site_node.gate.released import Served
from site_node.imaging.catalogue import Catalogue, DatasetSummary
from site_node.imaging.curated import RECIPE
from site_node.imaging.recipe import ImportRecipe, read_recipe
from site_node.prediction.owned import whole_of
from site_node.store import predictions as table
from site_node.store.journal import Sessions
from site_node.store.predictions import PredictionReferenceRow


@dataclass(frozen=True)
class Basis:
    """What predictions of one model rest on.

    Args:
        recipe: how images are made.
        find_text: whether text in pictures is blanked first.
        dataset: this hospital's dataset of the study; None when it has none.
    """

    recipe: ImportRecipe
    find_text: bool
    dataset: DatasetSummary | None


def registered(served: Served, site: str, catalogue: Catalogue) -> DatasetSummary | None:
    """This hospital's dataset of the study in the version that the log names; None without one."""
    for row in served.charter.datasets_of(site):
        try:
            return catalogue.get(row.id, served.versions.get((site, row.id), row.version))
        except NotReady:
            continue
    return None


def basis_of(dataset: DatasetSummary | None, given: Path | None, recipe: Recipe) -> Basis:
    """Find the import recipe, and refuse one that made other images than the model was trained on.

    Args:
        dataset: this hospital's dataset of the study.
        given: the import recipe that a person named.
        recipe: of the study.

    Raises:
        NotReady: the import recipe is not known and none was named.
        Refused: the one that was named is another, or makes what the network cannot read.
    """
    found = _recipe(dataset, given)
    shape = list(found.shape)
    wanted = misfit(shape, dims=recipe.dims, channels=recipe.preprocessing.channels)
    if wanted is not None:
        raise Refused("dataset.shape", found=shape, agreed=wanted)
    named = [segment.name for segment in found.segments]
    if recipe.draws and named != list(recipe.classes):
        raise Refused("dataset.task", found=named, agreed=list(recipe.classes))
    text_read = bool(dataset.description.get("text_read")) if dataset else False
    return Basis(found, text_read, dataset)


def _recipe(dataset: DatasetSummary | None, given: Path | None) -> ImportRecipe:
    if dataset is None:
        if given is None:
            raise NotReady(
                "no dataset of this study is here, so how images are prepared is not known.",
                "Name the import recipe that the study's hospitals use: --recipe FILE.",
            )
        return read_recipe(given)
    named, agreed = read_recipe(given), dataset.description["recipe"]
    if given is not None:
        if named.sha256 != agreed:
            raise Refused(
                "dataset.description",
                named.sha256,
                agreed,
                f"The import recipe {given} is not the one of dataset {dataset.name}: the model "
                "would see other images than it was trained on.",
            )
        return named
    kept = dataset.dir / RECIPE
    for recipe in (*([ImportRecipe(**json.loads(kept.read_text()))] if kept.is_file() else []),
                   named):  # fmt: skip
        if recipe.sha256 == agreed:
            return recipe
    raise NotReady(
        f"the import recipe of dataset {dataset.name} is not kept here.",
        "Name the file with which it was imported: --recipe FILE.",
    )


def reference_row(served: Served, basis: Basis, sessions: Sessions) -> PredictionReferenceRow:
    """What predictions of this model are compared with, and its frozen threshold; made once."""
    with sessions() as session:
        known = table.find_reference(session, served.used)
    if known is not None:
        return known
    row = _made(served, basis)
    with sessions.begin() as session:
        table.keep_reference(session, row)
    return row


def _made(served: Served, basis: Basis) -> PredictionReferenceRow:
    row = PredictionReferenceRow(
        model=served.used,
        study=served.study,
        dataset="", version="", images=0, labels="{}", bins="[]", points="{}",
    )  # fmt: skip
    if basis.dataset is None:
        return row
    from site_node.training.datasets import check_fit, open_dataset
    from site_node.training.reference import reference_of

    data = open_dataset(basis.dataset.dir)
    check_fit(data, served.recipe)
    vector = whole_of(served.vector, served.own, served.recipe)
    found = reference_of(vector, data, served.recipe)
    row.dataset, row.version = basis.dataset.name, basis.dataset.version
    row.images = found.images
    row.labels, row.bins = json.dumps(found.labels), json.dumps(found.bins)
    row.points = json.dumps(found.points)
    return row
