"""One job at a hospital: evaluated, trained, and only the difference leaves."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
import torch

from compliance.errors import NotReady, Refused
from compliance.records.recipe import layout_of, shipped, with_changes
from compliance.records.rounds import MetricReported
from site_node.training.session import Job, handle_on
from site_node.training.vectors import start_vector

PLAIN = ["auroc", "accuracy", "sensitivity", "specificity"]
LOCAL = [f"local.{name}" for name in PLAIN]


def job(recipe, **changes):
    """A training job from drawn start weights."""
    layout = layout_of(recipe)
    made = Job(
        op="train",
        recipe=recipe,
        layout=layout,
        vector=start_vector(layout, 5),
        dataset_dir=Path("unused"),
        seed=11,
        metrics=PLAIN + LOCAL,
        min_cell=5,
    )
    return replace(made, **changes)


def play(data, first, rounds):
    """Train one hospital for some rounds on its own deltas; return the last evaluation."""
    model, result = first.vector, None
    for number in range(rounds):
        result = handle_on(data, replace(first, vector=model, seed=number))
        model = (model.astype(np.float64) + result.delta).astype(np.float32)
    return handle_on(data, replace(first, op="evaluate", vector=model))


def test_an_update_is_the_difference_in_float64_to_the_model_that_came(makers):
    """The hub adds it to the same base and gets the model that was trained here."""
    first = job(makers.recipe())

    result = handle_on(makers.hospital(), first)

    assert result.delta.dtype == np.float32
    assert result.delta.shape == first.vector.shape
    assert 0 < np.abs(result.delta).max() < 1
    assert (result.n, result.patients, result.steps) == (96, 96, 6)


def test_the_same_job_gives_the_same_bytes(makers):
    """Order of cases, augmentation and kernels follow the seed alone."""
    data, first = makers.hospital(), job(makers.recipe(augment={"flip": True, "noise": "0.1"}))

    torch.manual_seed(1)
    one = handle_on(data, first)
    torch.manual_seed(2)
    other = handle_on(data, first)

    assert one.delta.tobytes() == other.delta.tobytes()
    assert one.metrics == other.metrics


def test_another_seed_gives_another_update(makers):
    """Rounds do not repeat the order of cases."""
    data, first = makers.hospital(), job(makers.recipe())

    one, other = handle_on(data, first), handle_on(data, replace(first, seed=12))

    assert one.delta.tobytes() != other.delta.tobytes()


def test_a_job_leaves_the_process_as_it_was(makers):
    """Global randomness, threads and strictness come back: two studies share one worker."""
    torch.manual_seed(4)
    before = torch.random.get_rng_state()
    strict = torch.are_deterministic_algorithms_enabled()

    handle_on(makers.hospital(), job(makers.recipe()))

    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.are_deterministic_algorithms_enabled() == strict


def test_the_incoming_model_is_measured_before_it_is_trained(makers):
    """One exchange carries both: values of the model as it came, on both held-out splits."""
    first = job(makers.recipe())

    trained = handle_on(makers.hospital(), first)
    looked = handle_on(makers.hospital(), replace(first, op="evaluate"))

    assert [(phase, split) for phase, split, _ in trained.metrics] == [
        ("before_training", "validation"),
        ("before_training", "test"),
    ]
    assert trained.metrics == looked.metrics
    assert (looked.delta, looked.steps) == (None, 0)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
def test_each_kind_of_task_is_learned(makers, task):
    """A few rounds lift the AUROC of every task far above chance."""
    names = ["auroc", "accuracy", "auroc.opacity"]
    first = job(makers.recipe(task, local={"epochs": 4}), metrics=names)

    values = play(makers.hospital(task, n=120), first, 3).metrics[-1][2]

    assert values["auroc"]["value"] > Decimal("0.85")
    assert values["accuracy"]["value"] > Decimal("0.5")
    assert set(values) == ({"auroc", "accuracy"} if task == "binary" else set(names))


def test_every_value_is_one_the_log_takes(makers):
    """The claims fit the record of a measurement: decimals with six places, counts, names."""
    first = job(makers.recipe("multilabel"), metrics=["auroc", "auroc.opacity", "accuracy.clear"])
    phase, split, values = handle_on(makers.hospital("multilabel"), first).metrics[0]
    plain = {
        name: {k: format(v, "f") if isinstance(v, Decimal) else v for k, v in claim.items()}
        for name, claim in values.items()
    }

    record = MetricReported.model_validate(
        {
            "round": 1,
            "phase": phase,
            "split": split,
            "model_sha256": "sha256:" + "0" * 64,
            "dataset": "cxr",
            "dataset_version": "sha256:" + "1" * 64,
            "values": plain,
        }
    )

    assert set(record.values) == {"auroc", "auroc.opacity", "accuracy.clear"}


def test_fedprox_holds_a_hospital_near_the_start(makers):
    """A strong pull makes the update less than half as long."""
    data, sgd = makers.hospital(), {"name": "sgd", "lr": "0.02"}
    free, held = (
        handle_on(data, job(makers.recipe(local={"mu": mu, "steps": 30}, optimiser=sgd)))
        for mu in ("0", "20")
    )

    assert np.linalg.norm(held.delta) < 0.5 * np.linalg.norm(free.delta)


def test_steps_may_stand_in_for_epochs(makers):
    """A recipe that counts steps takes exactly so many, whatever the size of the hospital."""
    first = job(makers.recipe(local={"steps": 9}))

    assert handle_on(makers.hospital(n=64), first).steps == 9


def test_a_baseline_trains_as_long_as_the_study_and_never_leaves(makers):
    """What the hospital could have had alone: values named local, no update."""
    told = []
    first = job(makers.recipe(), op="evaluate", baseline_rounds=3)

    result = handle_on(makers.hospital(), first, lambda stage, share: told.append(share))

    phases = [(phase, split, sorted(values)[0]) for phase, split, values in result.metrics]
    assert ("after_training", "test", "local.accuracy") in phases
    assert ("before_training", "test", "accuracy") in phases
    assert result.delta is None
    assert len(told) == 3 * 6
    assert told[-1] == 1


def test_a_baseline_is_the_same_whenever_it_is_trained(makers):
    """Neither the incoming model nor the round's seed moves it."""
    first = job(makers.recipe(), op="evaluate", baseline_rounds=1, metrics=LOCAL)
    data = makers.hospital()

    again = replace(first, seed=99, vector=first.vector * np.float32(0.5))

    assert handle_on(data, first).metrics == handle_on(data, again).metrics


def test_no_value_is_made_that_the_charter_does_not_name(makers):
    """Names outside the charter are not computed, baselines included."""
    first = job(makers.recipe(), op="evaluate", baseline_rounds=1, metrics=["accuracy"])

    metrics = handle_on(makers.hospital(), first).metrics

    assert {name for _, _, values in metrics for name in values} == {"accuracy"}


def test_images_of_another_size_are_brought_to_the_recipes_size(makers):
    """A hospital that curated 24 x 24 takes part in a study of 16 x 16."""
    result = handle_on(makers.hospital(side=24), job(makers.recipe()))

    assert np.isfinite(result.delta).all()


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_dataset_that_answers_another_question_is_refused(makers, task):
    """Labels of another task would train plausible nonsense."""
    with pytest.raises(Refused, match=r"dataset\.task"):
        handle_on(makers.hospital(task), job(makers.recipe()))


def test_classes_in_another_order_are_refused(makers):
    """Swapped labels train the opposite model and look like learning."""
    recipe = makers.recipe(classes=["opacity", "clear"])

    with pytest.raises(Refused, match=r"dataset\.task"):
        handle_on(makers.hospital(), job(recipe))


def test_a_recipe_with_differential_privacy_is_refused_rather_than_trained_without(makers):
    """Silently training without noise would break the promise of the charter."""
    recipe = makers.recipe(dp={"sigma": "1", "clip": "1", "batch": 16})

    with pytest.raises(Refused, match="go together") as caught:
        handle_on(makers.hospital(), job(recipe))

    assert caught.value.rule == "recipe.dp"


def test_scaffold_is_refused_rather_than_ignored(makers):
    """A charter that says SCAFFOLD must not get FedAvg."""
    with pytest.raises(Refused, match=r"recipe\.scaffold"):
        handle_on(makers.hospital(), job(makers.recipe(local={"scaffold": True})))


def test_a_training_that_diverges_says_so_and_sends_nothing(makers):
    """A loss that is no number ends the job with a sentence."""
    recipe = makers.recipe(
        optimiser={"name": "sgd", "lr": "10", "momentum": "0.99"}, local={"steps": 200}
    )
    first = job(recipe)

    with pytest.raises(NotReady, match="diverged"):
        handle_on(makers.hospital(), replace(first, vector=first.vector * np.float32(1e18)))


def test_a_hospital_without_training_cases_is_told_so(makers):
    """No case, no update, one sentence."""
    data = makers.hospital(n=0)

    with pytest.raises(NotReady, match="no training case"):
        handle_on(data, job(makers.recipe()))


@pytest.mark.parametrize(
    "name",
    sorted(name for name, made in shipped().items() if made.dims == 2 and made.dp is None),
)
def test_every_shipped_recipe_trains_repeatably(makers, name):
    """Each network of a shipped recipe takes a step with deterministic kernels, twice the same."""
    base = shipped()[name]
    changes = {
        "classes": ["lesion"] if base.draws else list(makers.CLASSES[:2]),
        "preprocessing": {"size": [32, 32]},
        "local": {"steps": 1, "batch": 4},
    }
    first = job(with_changes(base, changes), metrics=[])
    data = makers.drawn(n=6) if base.draws else makers.hospital(n=6)

    one, other = handle_on(data, first), handle_on(data, first)

    assert np.isfinite(one.delta).all()
    assert np.abs(one.delta).max() > 0
    assert one.delta.tobytes() == other.delta.tobytes()


def test_volumes_are_refused_by_a_network_for_images(makers):
    """A slice axis read as rows would train on something that is no image."""
    with pytest.raises(Refused, match=r"dataset\.shape"):
        handle_on(makers.drawn(dims=3), job(makers.mask_recipe()))


def test_masks_are_refused_by_a_recipe_that_classifies(makers):
    """Their labels say which classes are somewhere in the image, not what the image is."""
    data = makers.hospital()
    data.spec = replace(data.spec, task="segmentation")

    with pytest.raises(Refused, match=r"dataset\.task"):
        handle_on(data, job(makers.recipe()))
