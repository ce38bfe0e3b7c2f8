"""Layers that stay: better where hospitals' images differ, and not a byte of them travels."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from compliance.errors import Malformed
from compliance.records.form import Limits
from compliance.records.recipe import (
    Recipe,
    layout_of,
    local_layout,
    made_from,
    parse_recipe,
    shipped,
    whole_layout,
    with_changes,
)
from site_node.training import brought
from site_node.training.brought import form_of
from site_node.training.session import handle_on
from site_node.training.staying import Whole
from site_node.training.vectors import start_vector
from site_node.training.work import Done, done_of, header_of, raw_of
from tests.site_node.training import hospital
from tests.site_node.training.test_session import job

NETWORKS = ("cnn2d_small", "densenet121_gn", "unet_gn")
LIMITS = Limits(
    dims=[2], channels=[1], smallest=8, step=1, draws=False, noise=False, why="batch statistics"
)


def batched(channels: int, outputs: int, dims: int):
    """A small network with batch statistics, as a consortium's package may have one."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveMaxPool2d(2), nn.Flatten(), nn.Linear(32, outputs),
    )  # fmt: skip


@pytest.fixture
def own(monkeypatch) -> Recipe:
    """A recipe of that network, admitted in this process."""
    monkeypatch.setitem(brought._ADMITTED, ("sha256:" + "0" * 64, "north_bn"), batched)
    package = {"name": "north-recipes", "version": "1", "files_sha256": "sha256:" + "0" * 64}
    base = shipped()["cnn2d-small"]
    return made_from(
        base,
        {
            "id": "north-bn",
            "network": {"name": "north_bn", "params": {}},
            "classes": ["clear", "opacity"],
            "preprocessing": {**base.preprocessing.plain(), "size": [8, 8]},
            "form": form_of(batched, LIMITS, 1, 2).plain(),
            "package": package | {"limits": LIMITS.plain()},
            "local": {**base.local.plain(), "epochs": 2, "batch": 16},
            "optimiser": {**base.optimiser.plain(), "lr": "0.02"},
            "augment": {"flip": False, "rotate": "0", "shift": "0", "noise": "0"},
            "class_weights": "none",
        },
    )


def spots(seed: int, scale: float, lift: float):
    """A hospital whose scanner has its own contrast and brightness; a spot is the illness."""
    random = np.random.default_rng(seed)
    splits = {}
    for name, n in (("train", 96), ("validation", 16), ("test", 200)):
        labels = random.integers(0, 2, n)
        images = random.random((n, 1, 8, 8)) * 0.5
        for place in np.flatnonzero(labels):
            row, column = random.integers(0, 6, 2)
            images[place, 0, row : row + 2, column : column + 2] += 0.4
        splits[name] = ((images * scale + lift).astype(np.float32), labels.astype(np.int64))
    return hospital.MemoryDataset("binary", ("clear", "opacity"), splits)


def federated(recipe: Recipe, hospitals, rounds: int, *, finetune: bool = False) -> float:
    """Mean test AUC of the hospitals' own whole models after rounds of plain averaging."""
    first = job(recipe, metrics=["auroc"], vector=start_vector(layout_of(recipe), 5))
    kept: list[NDArray[np.float32] | None] = [None] * len(hospitals)
    model = first.vector
    for number in range(rounds):
        deltas = []
        for place, data in enumerate(hospitals):
            asked = replace(first, vector=model, seed=number, layers=kept[place])
            result = handle_on(data, asked)
            deltas.append(result.delta.astype(np.float64))
            kept[place] = result.layers
        model = (model + np.mean(deltas, axis=0)).astype(np.float32)
    found = []
    for place, data in enumerate(hospitals):
        last = replace(first, op="evaluate", vector=model, layers=kept[place], finetune=finetune)
        told = handle_on(data, last)
        found += [
            float(values["auroc"]["value"]) for _, split, values in told.metrics if split == "test"
        ]
    return float(np.mean(found))


def test_fedbn_is_better_than_fedavg_where_images_differ(own):
    """Two scanners: averaged statistics fit neither; each hospital's own fit both."""
    hospitals = [spots(1, 1.0, 0.0), spots(2, 2.0, 1.0)]
    kept = with_changes(own, {"personal": {"layers": "norm"}})

    averaged, fedbn = federated(own, hospitals, 8), federated(kept, hospitals, 8)

    assert fedbn > 0.9
    assert fedbn - averaged > 0.2  # measured: .99 and .44


@pytest.mark.parametrize("layers", ["norm", "head"])
@pytest.mark.parametrize("network", NETWORKS)
def test_the_parts_are_the_whole(network, layers):
    """Each value is in one of the two; norms are scale and shift, the head follows the classes."""
    base = next(one for one in shipped().values() if one.network.name == network)
    recipe = with_changes(base, {"dp": None, "personal": {"layers": layers}})

    shared, local, whole = layout_of(recipe), local_layout(recipe), whole_layout(recipe)
    values = np.arange(whole.count, dtype=np.float32)
    parts = Whole.of(recipe, shared)
    there, here = parts.parted(values)

    assert shared.count + local.count == whole.count == layout_of(base).count
    assert sorted([*there, *here]) == sorted(values)
    assert np.array_equal(parts.joined(there, here), values)
    names = {entry.name for entry in local.entries}
    assert all("norm" in name or "adn.N" in name for name in names) == (layers == "norm")
    if layers == "head":
        assert len(names) == 2


def test_norms_are_all_norms_of_the_real_network():
    """What the layout calls a normalisation is what torch has as one, family by family."""
    from torch import nn

    from site_node.training.session import network_of

    for name in ("cnn2d-small", "densenet121", "segresnet", "unet"):
        base = shipped()[name]
        recipe = with_changes(base, {"dp": None, "personal": {"layers": "norm"}})
        network = network_of(recipe)
        norms = {
            f"{name}.{part}"
            for name, module in network.named_modules()
            if isinstance(module, nn.GroupNorm | nn.BatchNorm2d)
            for part, _ in module.named_parameters(recurse=False)
        }
        assert {entry.name for entry in local_layout(recipe).entries} == norms, base.id


def test_nothing_local_is_in_what_leaves(makers):
    """The update has the shared length and no two neighbouring local values.

    Two, for the four bytes of one stand somewhere in 288,000 bytes by chance now and then.
    """
    recipe = with_changes(makers.recipe(), {"personal": {"layers": "head"}})
    first = job(recipe, metrics=["auroc"])

    result = handle_on(makers.hospital(), first)
    later = handle_on(makers.hospital(), replace(first, layers=result.layers))

    assert result.delta.shape == (layout_of(recipe).count,)
    assert result.layers.shape == (local_layout(recipe).count,)
    wire = result.delta.tobytes()
    moved = result.layers - start_vector(local_layout(recipe), recipe.seed)
    for values in (result.layers, moved, later.layers):
        pairs = [pair for pair in itertools.pairwise(values) if all(pair)]
        assert len(pairs) > len(values) // 2
        assert np.array(pairs[0]).tobytes() in values.tobytes()  # the search finds what is there
        assert not any(np.array(pair).tobytes() in wire for pair in pairs), (
            "local values stand in the update"
        )
    assert np.abs(moved).max() > 0
    assert not np.array_equal(later.delta, result.delta)


def test_the_same_layers_give_the_same_bytes(makers):
    """A repeated order that begins with the same layers ends with the same."""
    recipe = with_changes(makers.recipe(), {"personal": {"layers": "norm"}})
    first = job(recipe, metrics=["auroc"])

    one, two = handle_on(makers.hospital(), first), handle_on(makers.hospital(), first)

    assert one.delta.tobytes() == two.delta.tobytes()
    assert one.layers.tobytes() == two.layers.tobytes()


def test_layers_and_update_are_told_apart_in_a_frame():
    """The worker's answer carries both; without layers it is as before."""
    delta, layers = np.arange(5, dtype=np.float32), np.arange(9, 12, dtype=np.float32)
    for kept in (layers, None):
        done = Done(delta, 3, 2, [], layers=kept)
        read = done_of(header_of(done), raw_of(done))
        assert np.array_equal(read.delta, delta)
        assert (read.layers is None) == (kept is None)
        assert kept is None or np.array_equal(read.layers, layers)


def test_what_does_not_fit_is_refused(makers):
    """Noise, SCAFFOLD, networks without such layers or without others, layers of another length."""
    base = makers.recipe()
    personal, sgd = {"personal": {"layers": "norm"}}, {"name": "sgd", "momentum": "0"}
    with pytest.raises(Malformed, match="without dp"):
        with_changes(shipped()["cnn2d-small-dp"], personal)
    with pytest.raises(Malformed, match="without dp"):
        with_changes(base, {**personal, "local": {"scaffold": True}, "optimiser": sgd})
    with pytest.raises(Malformed, match="no norm layers"):
        with_changes(shipped()["mlp-table"], personal)
    with pytest.raises(Malformed, match="no head layers"):
        with_changes(shipped()["logistic-table"], {"personal": {"layers": "head"}})
    with pytest.raises(Malformed):
        with_changes(base, {"personal": {"layers": "all"}})
    recipe = with_changes(base, personal)
    with pytest.raises(Malformed, match="model vector"):
        handle_on(makers.hospital(), job(recipe, layers=np.zeros(3, np.float32)))
    assert parse_recipe(recipe.encode()) == recipe
    assert "personal" not in base.plain()
