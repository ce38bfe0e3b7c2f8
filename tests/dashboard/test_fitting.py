"""The form offers what the chosen data can be trained by, with the data's own classes."""

from __future__ import annotations

from typing import Any

import pytest

from compliance.records.recipe import shipped
from dashboard import fitting
from dashboard.drafting import draft_of

RECIPES = [{"id": made.id, "document": made.plain()} for made in shipped().values()]


def row(task: str, classes: str, shape: str, site: str = "north.example") -> dict[str, Any]:
    """A data set as its hospital described it."""
    told = {"task": task, "classes": classes, "shape": shape}
    facts = [{"name": name, "value": value} for name, value in told.items()]
    return {"site": site, "dataset": "ct", "description": {"variableMeasured": facts}}


VOLUMES = row("segmentation", "lesion, cyst", "1 x 16 x 32 x 32")
IMAGES = row("binary", "normal, pneumonia", "1 x 28 x 28")


def document(name: str) -> dict[str, Any]:
    """The document of a shipped recipe."""
    return shipped()[name].plain()


@pytest.mark.parametrize(
    ("rows", "offered"),
    [
        ([VOLUMES], {"unet-3d", "basic-unet-3d", "segresnet-3d", "vnet-3d"}),
        (
            [IMAGES],
            {"cnn2d-small", "cnn2d-small-dp", "resnet18", "densenet121", "efficientnet-b0"},
        ),
        ([row("segmentation", "lesion", "1 x 64 x 64")], {"unet", "basic-unet", "segresnet"}),
        ([row("binary", "a, b", "1 x 16 x 32 x 32")], {"densenet121-3d"}),
        ([], set(shipped())),
        ([{"site": "x", "dataset": "y", "description": None}], set(shipped())),
        ([IMAGES, VOLUMES], set(shipped())),
    ],
)
def test_recipes_that_fit_the_data_are_offered(
    rows: list[dict[str, Any]], offered: set[str]
) -> None:
    """Volumes with masks get networks that draw in volumes; nothing told, everything offered."""
    assert {made["id"] for made in fitting.fitting(RECIPES, rows)} == offered


def test_the_classes_of_the_data_go_into_the_draft() -> None:
    """Segments are the hospitals' own; the recipe's example class is not trained."""
    answers = {
        "recipe": "unet-3d",
        "recipe|classes": fitting.classes_of(document("unet-3d"), [VOLUMES]),
        "recipe.class_weights": "balanced",
    }

    changes = draft_of(answers, RECIPES)["recipe"]["changes"]

    assert changes == {"classes": ["lesion", "cyst"]}


def test_classes_that_differ_or_belong_to_another_task_are_not_taken() -> None:
    """Nothing is guessed: the hospitals would refuse it anyway."""
    other = row("segmentation", "nodule", "1 x 16 x 32 x 32", "south.example")

    assert fitting.classes_of(document("unet-3d"), [VOLUMES, other]) is None
    assert fitting.classes_of(document("unet-3d"), [IMAGES]) is None
    assert fitting.classes_of(document("unet-3d"), []) is None


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("unet-3d", [VOLUMES], None),
        ("unet-3d", [], None),
        ("unet", [VOLUMES], "volumes with masks, this recipe reads images with masks"),
        ("cnn2d-small", [IMAGES, VOLUMES], "differ in kind"),
        ("unet-3d", [VOLUMES, row("segmentation", "nodule", "1 x 16 x 32 x 32")], "segments"),
    ],
)
def test_what_does_not_fit_is_said_while_it_is_chosen(
    name: str, rows: list[dict[str, Any]], said: str | None
) -> None:
    """Before anybody proposes what every hospital would refuse."""
    found = fitting.problem(document(name), rows)

    assert found is None if said is None else (found is not None and said in found)
