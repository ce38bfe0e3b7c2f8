"""Layouts, recipes and orders: names of networks and numbers that anybody can recompute."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from compliance import canonical
from compliance.errors import Malformed, NotReady
from compliance.records.layout import Layout, layout_for, model_sha256, read_layout
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
