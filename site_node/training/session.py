"""One job at a hospital: take a model, say how good it is here, train it, return the difference.

Called in process by the federation client; bytes in, numbers out, no network, no clock. The same
job gives the same numbers on the same machine.

Source: design/federation.md §9, §12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from torch import nn

from compliance.errors import Malformed, Refused
from compliance.records.layout import Layout
from compliance.records.measures import GAIN, LOCAL, MOVED
from compliance.records.recipe import Recipe
from site_node.training.brought import brought_network
from site_node.training.datasets import Curated, Split, check_fit, open_dataset
from site_node.training.learning import Progress, check_supported, repeatable, train
from site_node.training.linear import linear_network
from site_node.training.measuring import Measured, Measuring, Points, Terms
from site_node.training.networks import build
from site_node.training.privacy import check_noise, train_with_noise
from site_node.training.profiles import Profile, profile_of
from site_node.training.scaffold import Shift
from site_node.training.staying import Whole
from site_node.training.vectors import FloatArray, difference, load, pack, start_vector
from site_node.training.work import Noise

ALONE = (LOCAL, GAIN)


@dataclass(frozen=True)
class Job:
    """What the hub ordered and the gate permitted.

    Args:
        op: `train` evaluates and trains, `evaluate` only evaluates.
        recipe: the charter's recipe.
        layout: the order of the vector's values.
        vector: the incoming model, float32, shape (layout.count,).
        dataset_dir: folder of the curated dataset that the charter names.
        seed: of this round and site; federation.md §7.
        metrics: the names the charter allows.
        min_cell: smallest count that may leave.
        baseline_rounds: with `evaluate`: train a local-only model for that many rounds as well.
        noise: what the privacy account has reserved for `train`; None without noise.
        control: SCAFFOLD's control variate, float32, shape (layout.count,).
        points: thresholds that are frozen already, by kind of model.
        choose: whether the incoming model was trained, so that its threshold may be chosen now.
        registered_dir: folder of the version that was registered first, where another is in force.
        layers: what stays here of the network, float32; empty before the first training.
        finetune: with `evaluate`: train what stays here, and nothing else, before measuring.
    """

    op: Literal["train", "evaluate"]
    recipe: Recipe
    layout: Layout
    vector: FloatArray
    dataset_dir: Path
    seed: int
    metrics: Sequence[str]
    min_cell: int
    baseline_rounds: int | None = None
    noise: Noise | None = None
    control: FloatArray | None = None
    points: Points = field(default_factory=dict)
    choose: bool = False
    registered_dir: Path | None = None
    layers: FloatArray | None = None
    finetune: bool = False

    def terms(self) -> Terms:
        """What was agreed about measuring."""
        return Terms(self.recipe, self.metrics, self.min_cell, self.points, self.choose)


@dataclass(frozen=True)
class Result:
    """What the gate may let out: the update, counts and values.

    `n` counts training images; with noise their patients. `points` are thresholds that were chosen
    in this job, to be frozen; `profiles` the registered and the present dataset in numbers.
    `layers` never leave the hospital.
    """

    delta: FloatArray | None
    n: int
    patients: int
    steps: int
    metrics: list[Measured] = field(default_factory=list)
    points: Points = field(default_factory=dict)
    profiles: tuple[Profile, Profile] | None = None
    layers: FloatArray | None = None


def handle(job: Job, progress: Progress | None = None) -> Result:
    """Do one job on the dataset in the job's folder.

    Raises:
        Refused: dataset and recipe do not fit, or the recipe asks for what this version lacks.
        NotReady: no training case, or the training diverged.
        Malformed: vector and layout do not fit the network.
    """
    check_supported(job.recipe)
    data = open_dataset(job.dataset_dir)
    done = handle_on(data, job, progress)
    if job.registered_dir is None or not set(MOVED) & set(job.metrics):
        return done
    before = open_dataset(job.registered_dir)
    return replace(done, profiles=(profile_of(before, job.recipe), profile_of(data, job.recipe)))


def handle_on(data: Curated, job: Job, progress: Progress | None = None) -> Result:
    """Do one job on an open dataset; as `handle`."""
    check_supported(job.recipe)
    check_fit(data, job.recipe)
    with repeatable(job.seed, job.recipe.threads):
        network = network_of(job.recipe)
        whole = Whole.of(job.recipe, job.layout)
        load(network, whole.layout, whole.joined(job.vector, job.layers))
        measuring = Measuring(data, job.terms())
        training = Split(data, "train", job.recipe)
        delta, steps, layers = None, 0, None
        if job.op == "evaluate" and job.finetune:
            layers = finetuned(network, whole, training, job, progress)
        metrics = measuring.model(network, phase="before_training")
        if job.op == "train":
            steps = _train(network, training, job, progress)
            shared, layers = whole.parted(pack(network, whole.layout))
            delta = difference(shared, job.vector)
        elif job.baseline_rounds:
            metrics += _baseline(measuring, training, job, progress)
    patients = len(set(training.patients()))
    n = patients if job.noise else len(training)  # the unit of the noise is the patient
    return Result(delta, n, patients, steps, metrics, measuring.chosen, layers=layers)


def _train(network: nn.Module, training: Split, job: Job, progress: Progress | None) -> int:
    """Train as the recipe says, with the noise that was reserved or without any."""
    check_noise(job.recipe, job.noise)
    if job.noise is not None:
        return train_with_noise(network, training, job.recipe, job.noise, progress=progress)
    shift = _shift(network, job)
    return train(network, training, job.recipe, seed=job.seed, progress=progress, shift=shift)


def finetuned(
    network: nn.Module, whole: Whole, training: Split, job: Job, progress: Progress | None
) -> FloatArray | None:
    """Train the layers that stay here by the recipe's steps; every other value stays, bit by bit.

    The common part is loaded again afterwards: statistics of batches move without a gradient.

    Returns:
        the layers, float32, shape (whole.local.count,); the network holds them.

    Raises:
        Malformed: the recipe fine-tunes nothing.
        NotReady: no training case, or the training diverged.
    """
    terms = job.recipe.personal
    if whole.local is None or terms is None or terms.finetune_steps is None:
        raise Malformed("job", "its recipe fine-tunes no layer")
    own = {entry.name for entry in whole.local.entries}
    for name, value in network.named_parameters():
        value.requires_grad_(name in own)  # the optimisers leave alone what has no gradient
    length = job.recipe.local.model_copy(update={"epochs": None, "steps": terms.finetune_steps})
    recipe = job.recipe.model_copy(update={"local": length})
    with repeatable(job.seed, recipe.threads):
        train(network, training, recipe, seed=job.seed, progress=progress)
    _, layers = whole.parted(pack(network, whole.layout))
    load(network, whole.layout, whole.joined(job.vector, layers))
    return layers


def _shift(network: nn.Module, job: Job) -> Shift | None:
    """SCAFFOLD's part in the steps; a charter that says SCAFFOLD must not get FedAvg."""
    if not job.recipe.local.scaffold:
        return None
    if job.control is None:
        raise Refused("recipe.scaffold", found="no control variate", agreed="one for the round")
    return Shift(network, job.layout, job.control)


def network_of(recipe: Recipe) -> nn.Module:
    """Build the recipe's network with arbitrary weights.

    Raises:
        Refused: no such network, or its package was not admitted in this process.
    """
    if recipe.tabular:
        return linear_network(recipe)
    if recipe.package is not None:
        return brought_network(recipe)
    return build(
        recipe.network.name,
        recipe.network.params,
        channels=recipe.preprocessing.channels,
        outputs=recipe.outputs,
        dims=recipe.dims,
    )


def _baseline(
    measuring: Measuring, training: Split, job: Job, progress: Progress | None
) -> list[Measured]:
    """Train what this hospital could have had alone, equally long; the model stays here."""
    if job.recipe.dp is not None or not any(name.startswith(ALONE) for name in job.metrics):
        return []  # trained without noise, its values would tell of training cases
    seed = baseline_seed(job.recipe.seed)
    alone = network_of(job.recipe)
    layout = Whole.of(job.recipe, job.layout).layout
    load(alone, layout, start_vector(layout, seed))
    train(
        *(alone, training, job.recipe),
        seed=seed,
        rounds=job.baseline_rounds or 1,
        progress=progress,
    )
    found = measuring.model(alone, phase="after_training", kind=LOCAL)
    return found + measuring.leads(LOCAL, phase="after_training")


def baseline_seed(seed: int) -> int:
    """Return the seed of baselines, from the recipe's: the same whenever they are trained."""
    digest = hashlib.sha256(f"consilium/baseline/v1\n{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
