"""Layouts, recipes and orders: names of networks and numbers that anybody can recompute."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from compliance import canonical
from compliance.errors import Malformed, NotReady
from compliance.records.families import SIDES, misfit
from compliance.records.layout import Layout, layout_for, model_sha256, read_layout
from compliance.records.measures import DRAWN, SCORED, measures_of, names_of
from compliance.records.order import Order
from compliance.records.recipe import (
    Recipe,
    layout_of,
    parse_recipe,
    read_recipe,
    shipped,
    with_changes,
)
from tests import factories as make

ROWS = [
    {"name": "head.bias", "shape": [2], "role": "param", "init": {"kind": "const", "value": "0"}},
    {"name": "body.weight", "shape": [3, 2], "role": "param",
     "init": {"kind": "uniform", "bound": "0.5"}},
    {"name": "a.running_var", "shape": [3], "role": "buffer",
     "init": {"kind": "const", "value": "1"}},
]  # fmt: skip


def test_a_layout_places_parameters_first_and_leaves_no_gap() -> None:
    """Sorted by name within each section, offsets dense."""
    layout = Layout.of(ROWS)
    assert [entry.name for entry in layout.entries] == ["body.weight", "head.bias", "a.running_var"]
    assert [entry.offset for entry in layout.entries] == [0, 6, 8]
    assert layout.count == 11
    assert read_layout(layout.plain()) == layout


def test_the_name_of_a_layout_and_a_model_can_be_computed_by_hand() -> None:
    """SHA-256 of a domain line and the bytes; the vector may come in pieces."""
    layout = Layout.of(ROWS)
    by_hand = hashlib.sha256(b"consilium/layout/v1\n" + canonical.encode(layout.plain()))
    assert layout.sha256 == "sha256:" + by_hand.hexdigest()
    vector = bytes(range(44))
    model = hashlib.sha256(b"consilium/model/v1\n" + by_hand.digest() + vector).hexdigest()
    assert model_sha256(layout.sha256, vector) == "sha256:" + model
    assert model_sha256(layout.sha256, [vector[:10], vector[10:]]) == "sha256:" + model
    assert model_sha256(make.sha("another network"), vector) != "sha256:" + model


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain["entries"].reverse(),
        lambda plain: plain["entries"].append(plain["entries"][-1]),
        lambda plain: plain["entries"][0].update(offset=1),
        lambda plain: plain["entries"][0].update(count=7),
        lambda plain: plain.update(count=12),
        lambda plain: plain.update(v=2),
        lambda plain: plain["entries"][0]["init"].update(kind="normal"),
        lambda plain: plain.update(entries=[]),
    ],
)
def test_a_layout_that_does_not_add_up_is_refused(change: Any) -> None:
    """Wrong order, a gap, a name twice, an unknown start."""
    plain = Layout.of(ROWS).plain()
    change(plain)
    with pytest.raises(Malformed):
        read_layout(plain)


def test_an_unknown_network_is_named_with_a_way_out() -> None:
    """Whoever asks for a network we do not have is told what to do."""
    for name in ("no_such_network", "../recipes/cnn2d-small"):
        with pytest.raises(NotReady, match="Choose a recipe"):
            layout_for(name, 1, 1)


def test_a_recipe_comes_back_and_is_named_by_its_bytes() -> None:
    """The document's hash is what the charter names."""
    recipe = read_recipe(make.recipe_document())
    assert parse_recipe(recipe.encode()) == recipe
    assert recipe.sha256 == canonical.sha256_id(recipe.encode())
    assert recipe.outputs == 1
    several = make.recipe_document(task="multiclass", loss="cross_entropy", classes=["a", "b", "c"])
    assert read_recipe(several).outputs == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("optimiser", {"lr": "0"}),
        ("optimiser", {"lr": "11"}),
        ("optimiser", {"momentum": "1"}),
        ("local", {"mu": "-1"}),
        ("local", {"steps": 5}),
        ("local", {"epochs": None}),
        ("local", {"batch": 0}),
        ("augment", {"rotate": "181"}),
        ("preprocessing", {"std": "0"}),
    ],
)
def test_numbers_beyond_the_bounds_of_a_recipe_are_refused(
    field: str, value: dict[str, Any]
) -> None:
    """Neither a rate of zero nor a batch of nothing can be registered."""
    document = make.recipe_document()
    with pytest.raises(Malformed):
        read_recipe(document | {field: document[field] | value})


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "cross_entropy"},
        {"classes": ["a", "b", "c"]},
        {"classes": ["a", "a"]},
        {"dp": {"sigma": "0.1", "clip": "1.0", "batch": 16}},
        {"dp": {"sigma": "1.0", "clip": "0", "batch": 16}},
        {"_target_": "os.system"},
        {"baseline": 1},
    ],
)
def test_a_recipe_that_contradicts_itself_is_refused(change: dict[str, Any]) -> None:
    """Task, loss and classes belong together; code is no field."""
    with pytest.raises(Malformed):
        read_recipe(make.recipe_document() | change)
    with pytest.raises(Malformed):
        parse_recipe(canonical.encode([1]))


def test_every_shipped_recipe_fits_its_network() -> None:
    """Its layout hash is that of the installed network, its file canonical."""
    recipes = shipped()
    assert "cnn2d-small" in recipes
    for recipe in recipes.values():
        assert layout_of(recipe).sha256 == recipe.layout_sha256
    wrong = recipes["cnn2d-small"].model_copy(update={"layout_sha256": make.sha("x")})
    with pytest.raises(Malformed):
        layout_of(wrong)


def test_changed_numbers_are_a_new_version_of_the_same_recipe() -> None:
    """The id stays, the version moves, the layout follows the classes."""
    base: Recipe = shipped()["cnn2d-small"]
    faster = with_changes(base, {"optimiser": {"lr": "0.02"}, "local": {"steps": 7}})
    assert (faster.id, faster.version) == (base.id, base.version + 1)
    assert (faster.local.steps, faster.local.epochs) == (7, None)
    assert faster.layout_sha256 == base.layout_sha256
    wider = with_changes(
        base,
        {
            "version": 9,
            "task": "multiclass",
            "loss": "cross_entropy",
            "classes": ["a", "b", "c"],
            "local": {"epochs": 2},
        },
    )
    assert wider.version == 9
    assert wider.layout_sha256 != base.layout_sha256
    assert layout_of(wider).sha256 == wider.layout_sha256
    assert with_changes(base, {}) == base


@pytest.mark.parametrize(
    "changes", [{"id": "x"}, {"layout_sha256": "x"}, {"family": "x"}, {"nothing": 1}]
)
def test_what_makes_a_recipe_itself_cannot_be_changed(changes: dict[str, Any]) -> None:
    """Another network is another recipe."""
    with pytest.raises(Malformed):
        with_changes(shipped()["cnn2d-small"], changes)


def test_an_order_travels_in_one_form() -> None:
    """Exactly its fields, canonical; anything else is malformed."""
    fields = {
        "v": 1, "kind": "train", "log": make.sha("log"), "entry": 2, "leaf": make.sha("leaf"),
        "round": 1, "layout_sha256": make.sha("layout"), "model_sha256": make.sha("model"),
        "deadline": make.BEGINS,
    }  # fmt: skip
    data = canonical.encode(fields)
    assert Order.parse(data).encode() == data
    for wrong in (fields | {"kind": "exec"}, fields | {"extra": 1}, fields | {"entry": "2"}):
        with pytest.raises(Malformed):
            Order.parse(canonical.encode(wrong))
    with pytest.raises(Malformed):
        Order.parse(data + b" ")


MASKS: dict[str, Any] = {
    "task": "segmentation", "loss": "dice_ce", "classes": ["lesion"], "class_weights": "none",
    "network": {"name": "unet_gn", "params": {}}, "family": "unet_gn",
}  # fmt: skip


def masks(**changes: Any) -> dict[str, Any]:
    """A recipe of masks on images of 64 x 64; parts of `preprocessing` and `local` may differ."""
    plain = make.recipe_document() | MASKS
    told = {"size": [64, 64], **changes.pop("preprocessing", {})}
    plain["preprocessing"] = plain["preprocessing"] | told
    plain["local"] = plain["local"] | changes.pop("local", {})
    return plain | changes


def test_a_recipe_of_masks_answers_for_what_is_in_no_class_too() -> None:
    """One class makes two outputs; a third side makes it a recipe of volumes."""
    flat, solid = read_recipe(masks()), read_recipe(masks(preprocessing={"size": [32, 64, 64]}))
    assert (flat.outputs, flat.dims, flat.kind) == (2, 2, "segmentation")
    assert (solid.outputs, solid.dims) == (2, 3)
    base = shipped()["unet"]
    made = with_changes(base, {"preprocessing": {"size": [32, 64, 64]}})
    assert layout_of(made).sha256 == made.layout_sha256 != base.layout_sha256


@pytest.mark.parametrize(
    "document",
    [
        masks(class_weights="balanced"),
        masks(loss="bce"),
        masks(task="binary", loss="bce", classes=["a", "b"]),
        masks(network={"name": "cnn2d_small", "params": {}}),
        masks(preprocessing={"size": [60, 64]}),
        masks(preprocessing={"size": [8, 64]}),
        masks(preprocessing={"size": [64]}),
        masks(preprocessing={"patch": [128, 64]}),
        masks(preprocessing={"patch": [16, 16, 16]}),
        masks(preprocessing={"patch": [60, 60]}),
        masks(preprocessing={"size": [4096, 4096]}, local={"batch": 64}),
        masks(preprocessing={"size": [32, 64, 64], "channels": 3}),
        make.recipe_document()
        | {"preprocessing": make.recipe_document()["preprocessing"] | {"patch": [16, 16]}},
    ],
)
def test_what_a_family_cannot_do_is_refused_before_it_is_registered(
    document: dict[str, Any],
) -> None:
    """A side that does not divide, a batch without bounds, another task, a patch outside."""
    with pytest.raises(Malformed):
        read_recipe(document)


def test_a_recipe_without_a_patch_has_no_such_field() -> None:
    """Documents that were registered before keep their bytes, and so their hash."""
    assert "patch" not in read_recipe(masks()).plain()["preprocessing"]
    told = read_recipe(masks(preprocessing={"patch": [32, 32]}))
    assert told.plain()["preprocessing"]["patch"] == [32, 32]
    assert parse_recipe(told.encode()) == told
    assert told.preprocessing.seen == [32, 32]


def test_a_family_that_is_not_in_the_table_brings_its_own_bounds() -> None:
    """A consortium's own network is bounded by its package, and its layout by being installed."""
    own = read_recipe(masks(network={"name": "own_net", "params": {}}, family="own_net"))
    with pytest.raises(NotReady):
        layout_of(own)


def test_measures_follow_the_task_and_fit_into_a_charter() -> None:
    """Masks are measured by overlap, class by class while there is room for the names."""
    assert names_of("binary", ["a", "b"], baseline=False) == list(SCORED)
    assert names_of("segmentation", ["a"], baseline=True)[:4] == [*DRAWN, "local.dice"]
    assert "local.dice.b" in names_of("segmentation", ["a", "b"], baseline=True)
    many = names_of("segmentation", [f"c{n}" for n in range(60)], baseline=False)
    assert many == list(DRAWN)
    assert measures_of("multilabel") == SCORED


def test_what_a_recipe_wants_of_a_shape_is_said_when_it_is_not_so() -> None:
    """The same question is asked before the signature and before the training."""
    assert misfit([1, 8, 8], dims=2, channels=3) is None
    assert misfit([1, 4, 8, 8], dims=2, channels=1) == SIDES[2]
    assert misfit([1, 8, 8], dims=1, channels=1) == "1 sides"
    assert misfit([2, 8, 8], dims=2, channels=3) == "3 channels"
