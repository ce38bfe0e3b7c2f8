"""A model that gives away who it was trained on is found out; one that learned is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hospital_in_memory import MemoryDataset

from compliance.records.recipe import Recipe, layout_of
from site_node.training.datasets import Split
from site_node.training.learning import repeatable, train
from site_node.training.membership import FEWEST, _hits, leak_test
from site_node.training.session import network_of
from site_node.training.vectors import load, pack, start_vector


def trained(data: Any, recipe: Recipe) -> Any:
    """Train on the training cases alone."""
    layout = layout_of(recipe)
    with repeatable(1, 1):
        network = network_of(recipe)
        load(network, layout, start_vector(layout, 1))
        train(network, Split(data, "train", recipe), recipe, seed=1)
        return pack(network, layout)


def noise(classes: list[str], n: int = 208) -> Any:
    """Images without anything to learn, labels by chance: only their cases can be remembered."""
    random = np.random.default_rng(5)
    splits = {}
    for name, size in (("train", n), ("validation", n // 2), ("test", n // 2)):
        images = random.random((size, 1, 8, 8)).astype(np.float32)
        labels = np.arange(size) % 2
        splits[name] = (images, labels.astype(np.int64))
    return MemoryDataset("binary", classes, splits)


def test_a_model_that_remembers_its_cases_is_found_out(makers: Any) -> None:
    """Overfitted on purpose: labels by chance, until they are known by heart."""
    recipe = makers.recipe(
        local={"steps": 240, "batch": 32},
        preprocessing={"size": [8, 8]},
        augment={"flip": False, "rotate": "0", "shift": "0", "noise": "0"},
        optimiser={"lr": "0.01"},
    )
    data = noise(list(recipe.classes))

    told = leak_test(trained(data, recipe), data, recipe)

    assert (told["outcome"], told["leaks"]) == ("tested", True)
    assert max(float(row["auc"]["low"]) for row in told["classes"]) > 0.60
    assert all(row["members"] == row["others"] == 104 for row in told["classes"])


def test_a_model_that_learned_what_all_share_is_not(makers: Any) -> None:
    """Trained on as many cases of a pattern: cases it never saw look the same to it."""
    recipe = makers.recipe(local={"steps": 60, "batch": 32})
    data = makers.hospital(n=240, seed=3)

    told = leak_test(trained(data, recipe), data, recipe)

    assert (told["outcome"], told["leaks"]) == ("tested", False)
    for row in told["classes"]:
        assert float(row["auc"]["low"]) <= float(row["auc"]["value"]) <= float(row["auc"]["high"])


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_a_class_with_too_few_patients_is_not_tested(makers: Any, task: str) -> None:
    """Fewer than 100 on one side: the word is not tested, never no leak."""
    recipe, data = makers.recipe(task), makers.hospital(task, n=60)

    told = leak_test(start_vector(layout_of(recipe), 1), data, recipe)

    assert (told["outcome"], told["leaks"]) == ("not_tested", False)
    assert [row["class"] for row in told["classes"]] == list(recipe.classes)
    assert all(row["auc"] is None and row["tpr"] is None for row in told["classes"])
    assert min(row["others"] for row in told["classes"]) < FEWEST


def test_masks_are_tested_by_the_loss_of_their_voxels(makers: Any) -> None:
    """By each class that a mask holds; an empty mask is in none."""
    recipe, data = makers.mask_recipe(), makers.drawn(n=8, empty=2)

    told = leak_test(start_vector(layout_of(recipe), 1), data, recipe)

    assert (told["outcome"], told["leaks"]) == ("not_tested", False)
    assert [(row["class"], row["members"], row["others"]) for row in told["classes"]] == [
        ("lesion", 6, 12)
    ]


def test_members_are_found_at_one_false_alarm_in_a_hundred() -> None:
    """200 others allow two false alarms; a perfect attack finds all, a blind one hardly any."""
    others = np.linspace(1, 2, 200)

    assert _hits(np.full(150, 0.1), others).value == 1
    assert _hits(others[:150].copy(), others).value == pytest.approx(2 / 150)
