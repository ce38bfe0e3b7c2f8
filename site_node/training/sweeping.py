"""One step of a sweep at a hospital: many models trained, or many measured, on the same cases.

The same session code trains each as it trains a study's model. Models that came in with the same
numbers are trained once: at the first step that is every coalition of a seed.

Source: design/federation.md §10.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compliance.records.layout import model_sha256
from compliance.records.order import seed_of
from site_node.training.datasets import Curated, Split, open_dataset
from site_node.training.evaluation import decided, score_patients
from site_node.training.learning import Progress, repeatable
from site_node.training.overlaps import overlap_patients
from site_node.training.session import Job, Result, handle_on, network_of
from site_node.training.vectors import FloatArray, load

Counts = tuple[str, int, int | None, float | None]
"""Split, cases, how many of them are right, and where nothing is right or wrong, a mean value."""


@dataclass(frozen=True)
class Swept:
    """What came of a step: updates, one row a model, or counts, one a model; patients and steps."""

    deltas: FloatArray | None
    counts: list[Counts]
    n: int
    steps: int


def sweep(job: Job, *, log: str, site: str, measure: bool, progress: Progress | None) -> Swept:
    """Train or measure every model of a stack.

    Args:
        job: as for one model; `vector` holds them one after the other.
        log: id of the study's log, from which seeds follow.
        site: this hospital.
        measure: only measure.
        progress: called now and then; it may raise to end the job.

    Raises:
        Refused, NotReady, Malformed: as `handle`.
    """
    data = open_dataset(job.dataset_dir)
    models = np.asarray(job.vector, np.float32).reshape(-1, job.layout.count)
    if measure:
        counts = []
        for place, model in enumerate(models):
            counts.append(measured(data, job, model))
            if progress is not None:
                progress("measuring", (place + 1) / len(models))
        return Swept(None, counts, 0, 0)
    known: dict[str, Result] = {}
    deltas, steps = np.empty_like(models), 0
    for place, model in enumerate(models):
        name = model_sha256(job.layout.sha256, model.astype("<f4").tobytes())
        if name not in known:
            seed = seed_of(log, name, site)
            one = replace(job, op="train", vector=model, seed=seed, metrics=(), control=None)
            known[name] = handle_on(data, one, _part(progress, place, len(models)))
        result = known[name]
        if result.delta is not None:
            deltas[place], steps = result.delta, result.steps
    n = max(result.n for result in known.values()) if known else 0
    return Swept(deltas, [], n, steps)


def measured(data: Curated, job: Job, model: FloatArray) -> Counts:
    """Measure one model on the test cases, or the validation cases where there are no others."""
    recipe = job.recipe
    with repeatable(recipe.seed, recipe.threads):
        network = network_of(recipe)
        load(network, job.layout, model)
        name = next((one for one in ("test", "validation") if len(Split(data, one, recipe))), "")
        if not name:
            return "test", 0, None, None
        split = Split(data, name, recipe)
        if recipe.draws:
            dice = overlap_patients(network, split, recipe).dice()
            told = dice[~np.isnan(dice).all(axis=1)]
            value = float(np.nanmean(told, axis=1).mean()) if len(told) else None
            return name, len(told), None, value
        scored = score_patients(network, split, recipe)
        right = decided(scored, recipe)
    return name, len(right), int(right.sum()), None


def _part(progress: Progress | None, place: int, models: int) -> Progress | None:
    if progress is None:
        return None
    return lambda words, share: progress(words, (place + share) / models)
