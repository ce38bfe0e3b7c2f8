"""One job at a hospital: take a model, say how good it is here, train it, return the difference.

Called in process by the federation client; bytes in, numbers out, no network, no clock. The same
job gives the same numbers on the same machine.

Source: design/federation.md §9, §12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from torch import nn

from compliance.records.layout import Layout
from compliance.records.recipe import Recipe
from site_node.training.datasets import Curated, Split, check_fit, open_dataset
from site_node.training.evaluation import Claims, measure, score_patients
from site_node.training.learning import Progress, check_supported, repeatable, train
from site_node.training.networks import build
from site_node.training.vectors import FloatArray, difference, load, pack, start_vector

Measured: TypeAlias = tuple[str, str, Claims]

HELD_OUT = ("validation", "test")
LOCAL = "local."


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


@dataclass(frozen=True)
class Result:
    """What the gate may let out: the update, counts and values; `n` counts training images."""

    delta: FloatArray | None
    n: int
    patients: int
    steps: int
    metrics: list[Measured] = field(default_factory=list)


def handle(job: Job, progress: Progress | None = None) -> Result:
    """Do one job on the dataset in the job's folder.

    Raises:
        Refused: dataset and recipe do not fit, or the recipe asks for what this version lacks.
        NotReady: no training case, or the training diverged.
        Malformed: vector and layout do not fit the network.
    """
    check_supported(job.recipe)
    return handle_on(open_dataset(job.dataset_dir), job, progress)


def handle_on(data: Curated, job: Job, progress: Progress | None = None) -> Result:
    """Do one job on an open dataset; as `handle`."""
    check_supported(job.recipe)
    check_fit(data, job.recipe)
    with repeatable(job.seed, job.recipe.threads):
        network = network_of(job.recipe)
        load(network, job.layout, job.vector)
        metrics = evaluate(network, data, job, phase="before_training")
        training = Split(data, "train", job.recipe)
        delta, steps = None, 0
        if job.op == "train":
            steps = train(network, training, job.recipe, seed=job.seed, progress=progress)
            delta = difference(pack(network, job.layout), job.vector)
        elif job.baseline_rounds:
            metrics += _baseline(data, training, job, progress)
    return Result(delta, len(training), len(set(training.patients())), steps, metrics)


def network_of(recipe: Recipe) -> nn.Module:
    """Build the recipe's network with arbitrary weights."""
    return build(
        recipe.network.name,
        recipe.network.params,
        channels=recipe.preprocessing.channels,
        outputs=recipe.outputs,
    )


def evaluate(
    network: nn.Module, data: Curated, job: Job, *, phase: str, prefix: str = ""
) -> list[Measured]:
    """Measure a model on every held-out split that has cases; only names of the charter."""
    found: list[Measured] = []
    for name in HELD_OUT:
        split = Split(data, name, job.recipe)
        if not len(split):
            continue
        scored = score_patients(network, split, job.recipe)
        values = measure(
            scored, job.recipe, min_cell=job.min_cell, names=job.metrics, prefix=prefix
        )
        if values:
            found.append((phase, name, values))
    return found


def _baseline(
    data: Curated, training: Split, job: Job, progress: Progress | None
) -> list[Measured]:
    """Train what this hospital could have had alone, equally long; the model stays here."""
    if not any(name.startswith(LOCAL) for name in job.metrics):
        return []
    seed = baseline_seed(job.recipe.seed)
    alone = network_of(job.recipe)
    load(alone, job.layout, start_vector(job.layout, seed))
    train(
        *(alone, training, job.recipe),
        seed=seed,
        rounds=job.baseline_rounds or 1,
        progress=progress,
    )
    return evaluate(alone, data, job, phase="after_training", prefix=LOCAL)


def baseline_seed(seed: int) -> int:
    """Return the seed of baselines, from the recipe's: the same whenever they are trained."""
    digest = hashlib.sha256(f"consilium/baseline/v1\n{seed}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
