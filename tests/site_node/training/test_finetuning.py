"""Own layers, trained a last time: they alone move, the same job moves them the same way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compliance.canonical import encode
from compliance.errors import Malformed
from compliance.records.recipe import (
    layout_of,
    local_layout,
    parse_recipe,
    shipped,
    with_changes,
)
from site_node.training import session
from site_node.training.session import handle_on
from site_node.training.staying import Whole
from site_node.training.vectors import start_vector
from tests.site_node.training.test_session import job
from tests.site_node.training.test_staying import federated, own, spots

__all__ = ["own"]  # a fixture

HEAD = {"personal": {"layers": "head", "finetune_steps": 12}}


def measured_networks(monkeypatch):
    """The values of every network that is measured, in the order of its whole layout."""
    seen = []
    model = session.Measuring.model

    def look(self, network, **words):
        values = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
        seen.append({name: value.numpy().copy() for name, value in values.items()})
        return model(self, network, **words)

    monkeypatch.setattr(session.Measuring, "model", look)
    return seen


@pytest.mark.parametrize("layers", ["norm", "head"])
def test_only_the_own_layers_move_and_the_moved_ones_are_measured(makers, monkeypatch, layers):
    """Every common value that is measured is the one that came, bit by bit."""
    terms = {"personal": {"layers": layers, "finetune_steps": 12}}
    recipe = with_changes(makers.recipe(), terms)
    seen = measured_networks(monkeypatch)
    asked = job(recipe, op="evaluate", finetune=True, metrics=["auroc"])

    result = handle_on(makers.hospital(), asked)

    start = start_vector(local_layout(recipe), recipe.seed)
    assert result.delta is None
    assert np.abs(result.layers - start).max() > 0
    whole = Whole.of(recipe, asked.layout)
    parts = [seen[0][entry.name].reshape(-1) for entry in whole.layout.entries]
    common, moved = whole.parted(np.concatenate(parts))
    assert common.tobytes() == asked.vector.tobytes()
    assert moved.tobytes() == result.layers.tobytes()


def test_statistics_of_batches_of_common_layers_stay(own, monkeypatch):
    """They move without a gradient: a head's fine-tuning must not take them along."""
    recipe = with_changes(own, {"personal": {"layers": "head", "finetune_steps": 5}})
    seen = measured_networks(monkeypatch)
    asked = job(recipe, op="evaluate", finetune=True, metrics=["auroc"])

    handle_on(spots(1, 1.0, 0.0), asked)

    whole = Whole.of(recipe, asked.layout)
    parts = [seen[0][entry.name].reshape(-1) for entry in whole.layout.entries]
    assert whole.parted(np.concatenate(parts))[0].tobytes() == asked.vector.tobytes()


def test_the_same_job_gives_the_same_layers(makers):
    """By the seed of the job; another seed gives others, and so do other steps."""
    recipe = with_changes(makers.recipe(), HEAD)
    asked = job(recipe, op="evaluate", finetune=True, metrics=["auroc"])

    one, two = handle_on(makers.hospital(), asked), handle_on(makers.hospital(), asked)
    other = handle_on(makers.hospital(), replace(asked, seed=12))
    shorter = with_changes(recipe, {"personal": {"finetune_steps": 1}})
    less = handle_on(makers.hospital(), replace(asked, recipe=shorter))

    assert one.layers.tobytes() == two.layers.tobytes()
    assert one.metrics == two.metrics
    assert one.layers.tobytes() != other.layers.tobytes()
    assert one.layers.tobytes() != less.layers.tobytes()


def test_an_update_is_the_same_with_and_without_fine_tuning(makers):
    """Not a byte of what leaves knows of it, whatever a job of training says."""
    plain = with_changes(makers.recipe(), {"personal": {"layers": "head"}})
    tuned = with_changes(makers.recipe(), HEAD)

    before = handle_on(makers.hospital(), job(plain, metrics=["auroc"]))
    after = handle_on(makers.hospital(), job(tuned, metrics=["auroc"], finetune=True))

    assert before.delta.tobytes() == after.delta.tobytes()
    assert before.layers.tobytes() == after.layers.tobytes()


def test_a_measurement_in_between_changes_nothing(makers):
    """Without the word the same recipe measures what came, and keeps no layer."""
    recipe = with_changes(makers.recipe(), HEAD)
    plain = with_changes(makers.recipe(), {"personal": {"layers": "head"}})

    one = handle_on(makers.hospital(), job(recipe, op="evaluate", metrics=["auroc"]))
    two = handle_on(makers.hospital(), job(plain, op="evaluate", metrics=["auroc"]))

    assert one.layers is None
    assert one.metrics == two.metrics


def test_a_recipe_without_steps_is_not_fine_tuned(makers):
    """Whoever orders it anyway is refused."""
    for changes in ({}, {"personal": {"layers": "head"}}):
        recipe = with_changes(makers.recipe(), changes)
        with pytest.raises(Malformed, match="fine-tunes no layer"):
            handle_on(makers.hospital(), job(recipe, op="evaluate", finetune=True))


def test_recipes_of_before_keep_their_hash_and_steps_have_bounds():
    """The field is left out where nobody asks for it; 1 to 10,000."""
    base = shipped()["cnn2d-small"]
    plain = with_changes(base, {"personal": {"layers": "norm"}})
    tuned = with_changes(base, {"personal": {"layers": "norm", "finetune_steps": 10_000}})

    assert plain.plain()["personal"] == {"layers": "norm"}
    assert encode({"layers": "norm"}) in plain.encode()
    assert plain.sha256 != tuned.sha256
    assert plain.layout_sha256 == tuned.layout_sha256
    assert parse_recipe(tuned.encode()) == tuned
    assert layout_of(tuned) == layout_of(plain)
    for steps in (0, 10_001, -1):
        with pytest.raises(Malformed):
            with_changes(plain, {"personal": {"finetune_steps": steps}})
    with pytest.raises(Malformed):
        with_changes(base, {"personal": {"finetune_steps": 5}})


def test_fine_tuning_helps_a_hospital_whose_images_differ(own):
    """Two scanners, norms of their own: the fine-tuned model fits each better than the last one."""
    hospitals = [spots(1, 1.0, 0.0), spots(2, 2.0, 1.0)]
    recipe = with_changes(own, {"personal": {"layers": "norm", "finetune_steps": 60}})
    few = 2  # rounds: the layers have not settled

    plain, tuned = (federated(recipe, hospitals, few, finetune=yes) for yes in (False, True))

    assert tuned > plain  # measured: .966 and .949; another processor rounds otherwise
