"""Networks for tables, and FedProx and SCAFFOLD against their definitions in plain loops."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from opacus import GradSampleModule
from opacus.validators import ModuleValidator

from compliance.errors import Malformed, NotReady, Refused
from compliance.records.linear import linear_layout
from compliance.records.recipe import layout_of, shipped, with_changes
from site_node.training.learning import _orders
from site_node.training.linear import linear_network
from site_node.training.session import Job, handle_on
from site_node.training.vectors import load, start_vector
from tests.site_node.training.tables import COLUMNS, MemoryTable, table_recipe

TABULAR = sorted(name for name, one in shipped().items() if one.tabular)


def job(recipe: Any, **changes: Any) -> Job:
    """A training job from drawn start weights."""
    layout = layout_of(recipe)
    told = {"op": "train", "vector": start_vector(layout, 5), "seed": 11, "metrics": ["accuracy"]}
    told |= {"recipe": recipe, "layout": layout, "dataset_dir": Path(), "min_cell": 5}
    return Job(**(told | changes))


@pytest.mark.parametrize("params", [{}, {"hidden": "7", "layers": "3"}])
@pytest.mark.parametrize(("inputs", "outputs"), [(1, 1), (13, 1), (40, 4)])
@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_a_layout_by_formula_is_the_order_of_the_real_network(name, inputs, outputs, params):
    """For any number of columns: names, shapes, roles and counts of what trains."""
    if name == "logistic" and params:
        with pytest.raises(Malformed, match="has no parameter"):
            linear_layout(name, params, inputs, outputs)
        return
    recipe = table_recipe(f"{name}-table", preprocessing={"size": [inputs]})
    plain = {"network": recipe.network.model_copy(update={"params": params})}
    network = linear_network(recipe.model_copy(update=plain))
    layout = linear_layout(name, params, inputs, 1)

    shapes = {key: list(value.shape) for key, value in network.state_dict().items()}

    assert {entry.name: entry.shape for entry in layout.entries} == shapes
    assert linear_layout(name, params, inputs, outputs).entries[0].role == "param"
    assert list(network.buffers()) == []


@pytest.mark.parametrize("name", TABULAR)
def test_every_shipped_recipe_for_tables_learns_repeatably(name):
    """Some rounds lift the accuracy above the larger class; twice the same bytes."""
    recipe = table_recipe(name, preprocessing={"intensity": "table"}, local={"steps": 150})
    data, first = MemoryTable(n=200), job(recipe)

    one, other = handle_on(data, first), handle_on(data, first)

    model = (first.vector.astype(np.float64) + one.delta).astype(np.float32)
    told = handle_on(data, job(recipe, op="evaluate", vector=model)).metrics
    assert one.delta.tobytes() == other.delta.tobytes()
    assert (one.n, one.patients, one.steps) == (200, 200, 150)
    assert told[0][2]["accuracy"]["value"] > Decimal("0.7")


@pytest.mark.parametrize("name", ["logistic-table", "mlp-table"])
def test_gradients_of_single_cases_are_those_of_a_batch_of_one(name):
    """Both networks can train with differential privacy, by a real backward for each case."""
    recipe = table_recipe(name)
    network, layout = linear_network(recipe), layout_of(recipe)
    load(network, layout, start_vector(layout, 1))
    values, labels = MemoryTable(n=6).batch(np.arange(6))
    cases, wanted = (
        torch.from_numpy(values).requires_grad_(),
        torch.from_numpy(labels).float()[:, None],
    )
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    single = []
    for place in range(6):
        network.zero_grad()
        loss(network(cases[place : place + 1]), wanted[place : place + 1]).backward()
        single.append([value.grad.clone() for value in network.parameters()])

    assert ModuleValidator.validate(network) == []
    watched = GradSampleModule(network, loss_reduction="mean")
    watched.zero_grad()
    loss(watched(cases), wanted).backward()

    for number, value in enumerate(watched.parameters()):
        together = torch.stack([row[number] for row in single])
        assert torch.allclose(value.grad_sample, together, rtol=1e-5, atol=1e-7)


def test_another_number_of_columns_is_refused():
    """Nothing is cut or filled up."""
    with pytest.raises(Refused, match="another number of columns"):
        handle_on(MemoryTable(columns=6), job(table_recipe()))


def test_other_columns_are_refused_by_a_recipe_that_names_its_own():
    """The same number of other columns gives plausible nonsense."""
    recipe = table_recipe(preprocessing={"intensity": "table-11"})

    with pytest.raises(Refused, match="other columns than the recipe names"):
        handle_on(MemoryTable(), job(recipe))


def test_tables_and_images_do_not_train_each_others_networks(makers):
    """Neither way round."""
    images = with_changes(shipped()["cnn2d-small"], {"classes": ["well", "ill"]})
    sick = makers.hospital()
    sick.spec = type(sick.spec)("binary", ["well", "ill"], sick.spec.shape)

    with pytest.raises(Refused, match="Tables train networks for tables"):
        handle_on(MemoryTable(), job(images))
    with pytest.raises(Refused, match="Tables train networks for tables"):
        handle_on(sick, job(table_recipe()))


def test_a_table_without_training_cases_is_told_so():
    """No case, no update, one sentence."""
    with pytest.raises(NotReady, match="no training case"):
        handle_on(MemoryTable(n=0), job(table_recipe()))


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": {"flip": True}},
        {"augment": {"rotate": "8"}},
        {"preprocessing": {"size": [4, 4]}},
        {"preprocessing": {"channels": 3}},
        {"preprocessing": {"mean": "0.5"}},
        {"preprocessing": {"size": [4096 * 2]}},
        {"network": {"params": {"hidden": "0"}}},
        {"network": {"params": {"hidden": "1.5"}}},
        {"network": {"params": {"depth": "2"}}},
    ],
)
def test_a_recipe_for_tables_keeps_within_the_bounds_of_its_family(changes):
    """Pixels' words, unknown parameters and numbers outside their bounds are refused."""
    with pytest.raises((Malformed, NotReady)):
        table_recipe("mlp-table", **changes)


# ------------------------------------------------------------------------- plain loops


def batches(data: MemoryTable, recipe: Any, seed: int) -> list[tuple[Any, Any]]:
    """The batches of a job, float64."""
    rows = data.rows("train")
    found = []
    for places in _orders(len(rows), recipe.local.batch, recipe.local.steps, seed):
        values, labels = data.batch(rows[places])
        found.append((values.astype(np.float64), labels.astype(np.float64)))
    return found


def gradient(weights: Any, values: Any, labels: Any) -> Any:
    """The gradient of the mean cross-entropy of logistic regression: bias, then weights."""
    total = [0.0] * len(weights)
    for case, label in zip(values, labels, strict=True):
        logit = weights[0] + sum(w * v for w, v in zip(weights[1:], case, strict=True))
        wrong = 1 / (1 + np.exp(-logit)) - label
        total[0] += wrong / len(values)
        for at, value in enumerate(case):
            total[at + 1] += wrong * value / len(values)
    return np.array(total)


def test_fedprox_is_its_published_definition():
    """Each step is w <- w - lr * (gradient + mu * (w - w0)), a value at a time (1812.06127)."""
    recipe = table_recipe(local={"mu": "0.5", "steps": 20})
    data, first = MemoryTable(), job(recipe)
    start = first.vector.astype(np.float64)

    weights = start.copy()
    for values, labels in batches(data, recipe, first.seed):
        weights = weights - 0.1 * (gradient(weights, values, labels) + 0.5 * (weights - start))

    delta = handle_on(data, first).delta
    assert np.abs(delta - (weights - start)).max() < 1e-6
    free = handle_on(data, job(table_recipe(local={"steps": 20}))).delta
    assert np.abs(delta - free).max() > 1e-3


def test_a_control_variate_is_taken_off_each_gradient():
    """Each step is w <- w - lr * (gradient - control), a value at a time."""
    recipe = table_recipe(local={"scaffold": True})
    data, control = MemoryTable(), np.linspace(-0.4, 0.4, COLUMNS + 1).astype(np.float32)
    first = job(recipe, control=control)

    weights = first.vector.astype(np.float64)
    for values, labels in batches(data, recipe, first.seed):
        weights = weights - 0.1 * (gradient(weights, values, labels) - control)

    assert np.abs(handle_on(data, first).delta - (weights - first.vector)).max() < 1e-6


def test_scaffold_without_its_control_variate_is_refused():
    """A charter that says SCAFFOLD must not get FedAvg."""
    with pytest.raises(Refused, match=r"recipe\.scaffold"):
        handle_on(MemoryTable(), job(table_recipe(local={"scaffold": True})))


@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": {"name": "adam"}},
        {"optimiser": {"momentum": "0.9"}},
        {"local": {"mu": "0.1"}},
        {"dp": {"sigma": "1", "clip": "1", "batch": 8}},
    ],
)
def test_scaffold_is_refused_with_what_it_is_not_defined_for(changes):
    """Noise, a pull, momentum or adaptive steps make the control another number."""
    local = {"scaffold": True} | changes.get("local", {})
    recipe = table_recipe(**(changes | {"local": local}))
    control = np.zeros(COLUMNS + 1, np.float32)

    with pytest.raises(Refused, match=r"recipe\.(scaffold|dp)"):
        handle_on(MemoryTable(), job(recipe, control=control))
