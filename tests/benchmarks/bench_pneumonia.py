"""PneumoniaMNIST over three uneven hospitals: alone, pooled, federated, federated with noise.

Each seed deals train, validation and test out 60/30/10 anew and draws another start. Rounds play in
this process, with the sessions and the aggregation of sites and hub; with `--real` seed 0 also runs
through a hub and three nodes and must end in the very bytes of the same rounds played here.

The noise was chosen on the validation split of seed 0 alone (`--choose`, which scores no test
case), the plain recipe is the shipped one; test cases are scored once, with the last models.

Run: `.venv/bin/python -m tests.benchmarks.bench_pneumonia [--seeds 0 1 2 3 4] [--only alone pooled
federated private] [--keep docs/results] | --choose [--set local.epochs=2 ...] | --real`.
The bars (issue 5, k): federated minus pooled AUC >= -0.01 on average; with epsilon 8 AUC >= 0.90.
"""

from __future__ import annotations

import argparse
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from compliance.records.recipe import Recipe, layout_of, shipped, with_changes
from compliance.rules.noise import sample_rate, steps_of
from hub.services.start import initial_vector
from site_node.training.accounting import epsilon_of
from site_node.training.pooled import auroc_of, score_on, train_pooled
from site_node.training.session import Job, handle_on
from site_node.training.vectors import start_vector
from site_node.training.work import Noise
from tests.results import kept, pneumonia_page
from tests.results.played_hub import PlayedHub
from tests.shared import shared_data
from tests.site_node.training.hospital import MemoryDataset

SHARES = (0.6, 0.3, 0.1)
PLAIN: dict[str, Any] = {"name": "fedavg", "params": {}}
ROUNDS, PRIVATE_ROUNDS = 4, 6
RECIPE: dict[str, Any] = {"baseline": False}
PRIVATE: dict[str, Any] = {
    "dp": {"batch": 64, "clip": "1", "sigma": "0.95"},
    "local": {"batch": 64, "epochs": 1},
    "optimiser": {"lr": "0.005"},
}
EPSILON, DELTA = 8.0, Decimal("0.00001")
WAYS = ("alone", "pooled", "federated", "private")


def hospitals(seed: int) -> list[MemoryDataset]:
    """Deal train, validation and test out 60/30/10; every image is a patient of its own."""
    random, parts = np.random.default_rng(seed), [{} for _ in SHARES]
    with np.load(source()) as data:
        for ours, theirs in (("train", "train"), ("validation", "val"), ("test", "test")):
            images = data[f"{theirs}_images"][:, None].astype(np.float32) / 255
            labels = data[f"{theirs}_labels"].reshape(-1).astype(np.int64)
            order = random.permutation(len(images))
            ends = np.cumsum([round(share * len(images)) for share in SHARES[:-1]])
            for part, rows in zip(parts, np.split(order, ends), strict=True):
                part[ours] = (images[rows], labels[rows])
    return [MemoryDataset("binary", ["normal", "pneumonia"], part) for part in parts]


def source() -> Path:
    """The published images, rebuilt."""
    return shared_data("imaging", "pneumoniamnist_rebuilt", "pneumoniamnist_rebuilt.npz")


class Budget:
    """One hospital's account over a study: how many steps of each round still fit."""

    def __init__(self, recipe: Recipe, patients: int) -> None:
        if recipe.dp is None:
            raise ValueError("this recipe has no noise")
        self._terms, self._taken = recipe.dp, 0
        self._rate = sample_rate(recipe.dp.batch, patients)
        self._planned = steps_of(recipe.local, recipe.dp.batch, patients)

    @property
    def epsilon(self) -> float:
        """What all steps so far cost together (PRV accountant)."""
        return self._cost(self._taken)

    def reserve(self) -> Noise | None:
        """The steps of a round; None when not one of them fits."""
        steps = self._planned
        while steps and self._cost(self._taken + steps) > EPSILON:
            steps -= 1
        self._taken += steps
        terms = self._terms
        return Noise(terms.sigma, terms.clip, f"{self._rate:f}", steps) if steps else None

    def _cost(self, steps: int) -> float:
        return epsilon_of([(Decimal(self._terms.sigma), self._rate, steps)], DELTA)


def federated(
    recipe: Recipe, sites: Sequence[MemoryDataset], rounds: int, seed: int
) -> Iterator[tuple[Any, list[float]]]:
    """Play the rounds; yield the model after each one, and what it has cost every hospital."""
    layout = layout_of(recipe)
    model, hub = initial_vector(layout, b"bench %d" % seed), PlayedHub(PLAIN, layout)
    counts = [len(site.rows("train")) for site in sites]
    budgets = [Budget(recipe, count) for count in counts] if recipe.dp else []
    for number in range(rounds):
        updates = {}
        for place, site in enumerate(sites):
            noise = budgets[place].reserve() if budgets else None
            if budgets and noise is None:
                continue
            seeded = 1000 * seed + 10 * number + place
            job = Job("train", recipe, layout, model, Path(), seeded, [], 5, noise=noise)
            result = handle_on(site, job)
            updates[f"site{place}.example"] = (result.delta, result.n)
        model = hub.step(model, updates)
        yield model, [round(one.epsilon, 3) for one in budgets]


def judged(model: Any, sites: Sequence[MemoryDataset], split: str, recipe: Recipe) -> list[float]:
    """AUC over the cases of all hospitals, with the ends of its 95 % interval (DeLong)."""
    found = auroc_of([score_on(model, site, split, recipe) for site in sites])
    return [round(value, 5) for value in (found.value, found.low, found.high)]


def way(name: str, seed: int) -> dict[str, Any]:
    """One seed by one way: AUC of every model over all test cases."""
    sites, begun = hospitals(seed), time.process_time()
    recipe = recipe_of(name)
    epsilon: list[float] = []
    if name == "alone":
        models = [train_pooled(recipe, [site], ROUNDS) for site in sites]
    elif name == "pooled":
        own = start_vector(layout_of(recipe), seed)
        models = [train_pooled(recipe, sites, ROUNDS, start=own)]
    else:
        rounds = PRIVATE_ROUNDS if name == "private" else ROUNDS
        *_, (model, epsilon) = federated(recipe, sites, rounds, seed)
        models = [model]
    areas = [judged(model, sites, "test", recipe) for model in models]
    spent = round(time.process_time() - begun, 1)
    return {"way": name, "seed": seed, "auc": areas, "epsilon": epsilon, "cpu_seconds": spent}


def recipe_of(name: str) -> Recipe:
    """The recipe of a way."""
    if name == "private":
        return with_changes(shipped()["cnn2d-small-dp"], PRIVATE)
    return with_changes(shipped()["cnn2d-small"], RECIPE)


def choose(name: str, changes: dict[str, Any], rounds: int) -> None:
    """Print the validation AUC after each round; no test case is read."""
    recipe, sites = with_changes(recipe_of(name), changes), hospitals(0)
    for number, (model, epsilon) in enumerate(federated(recipe, sites, rounds, 0), 1):
        area = judged(model, sites, "validation", recipe)
        sys.stdout.write(f"round {number}: {area} epsilon {epsilon}\n")
        sys.stdout.flush()


def verdict(rows: Sequence[kept.Row]) -> dict[str, Any]:
    """The figures beside their bars; a bar without its rows is not held."""
    area = {(row["way"], row["seed"]): row["auc"][0][0] for row in rows}
    both = [seed for way_, seed in area if way_ == "federated" and ("pooled", seed) in area]
    gaps = [area["federated", seed] - area["pooled", seed] for seed in both]
    noisy = [value for (way_, _), value in area.items() if way_ == "private"]
    spent = [max(row["epsilon"]) for row in rows if row["way"] == "private"]
    return {
        "federated_minus_pooled": _row(gaps, -0.01),
        "private": {**_row(noisy, 0.90), "epsilon_at_most": max(spent, default=None)},
    }


def _row(values: Sequence[float], bar: float) -> dict[str, Any]:
    mean = statistics.fmean(values) if values else None
    held = mean is not None and mean >= bar
    told = None if mean is None else round(mean, 4)
    return {"seeds": len(values), "mean": told, "bar": bar, "held": held}


def main(words: list[str]) -> int:
    """Print one JSON object with the figures beside their bars; 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--keep", type=Path, help="folder of the kept results")
    parser.add_argument("--choose", choices=("federated", "private"), help="on validation alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="with --choose")
    parser.add_argument("--set", nargs="*", default=[], help="with --choose, local.epochs=2")
    parser.add_argument("--real", action="store_true", help="seed 0 through a hub and three nodes")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    if asked.choose:
        choose(asked.choose, changes_of(asked.set), asked.rounds)
        return 0
    if asked.real:
        from tests.results.real_pneumonia import real

        with tempfile.TemporaryDirectory(prefix="consilium-pneumonia-") as folder:
            told = real(Path(folder), ROUNDS, RECIPE)
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return 0 if told["same_bytes"] else 1
    rows: list[kept.Row] = []
    for seed in asked.seeds:
        for name in asked.only:
            rows.append(way(name, seed))
            sys.stderr.write(json.dumps(rows[-1]) + "\n")
            if asked.keep:
                path = asked.keep / "pneumonia.json"
                every = kept.add(path, rows[-1], ("way", "seed"), "bench_pneumonia")
                pneumonia_page.write(asked.keep, every, verdict(every), ROUNDS)
    told = verdict(rows)
    sys.stdout.write(json.dumps(told, indent=1) + "\n")
    return 0 if all(row["held"] for row in told.values()) else 1


def changes_of(texts: Sequence[str]) -> dict[str, Any]:
    """Changes of a recipe from `outer.inner=value`; numbers with a point are text."""
    changes: dict[str, Any] = {}
    for text in texts:
        name, value = text.split("=")
        outer, _, inner = name.partition(".")
        try:
            found = json.loads(value)
        except ValueError:
            found = value
        told = value if isinstance(found, float) or outer in ("augment", "dp") else found
        told = found if inner in ("flip", "batch") else told
        changes.setdefault(outer, {})[inner] = told
    return changes


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
