"""Three uneven hospitals against pooled training on PneumoniaMNIST, in one process; prints figures.

`python -m tests.benchmarks.bench_training [--rounds 8] [--seeds 0 1] [--set local.epochs=2 ...]`
"""

from __future__ import annotations

import argparse
import json
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from compliance.records.recipe import Recipe, layout_of, shipped, with_changes
from hub.federation.aggregation.catalogue import aggregator
from hub.federation.aggregation.rule import Update
from hub.federation.aggregation.vectors import ArrayVector
from hub.services.start import initial_vector
from site_node.training.pooled import auroc, score_on, train_pooled
from site_node.training.session import Job, handle_on
from site_node.training.vectors import start_vector
from tests.shared import shared_data
from tests.site_node.training.hospital import MemoryDataset

SHARES = (0.6, 0.3, 0.1)


def hospitals(seed: int) -> list[MemoryDataset]:
    """Split train, validation and test 60/30/10."""
    path = shared_data("imaging", "pneumoniamnist_rebuilt", "pneumoniamnist_rebuilt.npz")
    random, parts = np.random.default_rng(seed), [{} for _ in SHARES]
    with np.load(path) as data:
        for ours, theirs in (("train", "train"), ("validation", "val"), ("test", "test")):
            images = data[f"{theirs}_images"][:, None].astype(np.float32) / 255
            labels = data[f"{theirs}_labels"].reshape(-1).astype(np.int64)
            order = random.permutation(len(images))
            ends = np.cumsum([round(share * len(images)) for share in SHARES[:-1]])
            for part, rows in zip(parts, np.split(order, ends), strict=True):
                part[ours] = (images[rows], labels[rows])
    return [MemoryDataset("binary", ["normal", "pneumonia"], part) for part in parts]


def federated(
    recipe: Recipe, sites: list[MemoryDataset], rounds: int, start: Any, seed: int
) -> list[tuple[float, float]]:
    """Play the rounds; return test AUC and site CPU-seconds after each."""
    layout, model, rule = layout_of(recipe), start, aggregator("fedavg", {"weight_cap": Decimal(1)})
    curve, spent = [], 0.0
    for number in range(rounds):
        updates = {}
        for place, site in enumerate(sites):
            begun = time.process_time()
            job = Job(
                *("train", recipe, layout, model, Path(), 1000 * seed + 10 * number + place),
                *(["auroc", "accuracy"], 5),
            )
            result = handle_on(site, job)
            spent += time.process_time() - begun
            updates[f"site{place}.example"] = Update(ArrayVector(result.delta), result.n)
        out = np.empty_like(model)
        rule.apply(rule.init(layout.count), base=ArrayVector(model), updates=updates, out=out)
        model = out
        curve.append((auroc([score_on(model, site, "test", recipe) for site in sites]), spent))
    return curve


def main() -> None:
    """Print one line per seed and a summary."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="*", default=[])
    parser.add_argument("--no-pooled", action="store_true")
    parser.add_argument("--local", action="store_true")
    chosen = parser.parse_args()
    changes: dict[str, Any] = {}
    for text in chosen.set:
        name, value = text.split("=")
        outer, _, inner = name.partition(".")
        value = value if outer == "augment" and inner != "flip" else _json(value)
        changes.setdefault(outer, {})[inner] = value
    recipe = with_changes(shipped()["cnn2d-small"], changes)
    for seed in chosen.seeds:
        sites = hospitals(seed)
        start = initial_vector(layout_of(recipe), b"bench %d" % seed)
        curve = federated(recipe, sites, chosen.rounds, start, seed)
        line = f"seed {seed}: federated {' '.join(f'{a:.4f}' for a, _ in curve)}"
        line += f" · sites {curve[-1][1]:.1f} CPU-s"
        if not chosen.no_pooled:
            begun = time.process_time()
            own = start_vector(layout_of(recipe), seed)
            pooled = train_pooled(recipe, sites, chosen.rounds, start=own)
            area = auroc([score_on(pooled, site, "test", recipe) for site in sites])
            line += f" · pooled {area:.4f} ({time.process_time() - begun:.1f} CPU-s)"
        if chosen.local:
            alone = [train_pooled(recipe, [site], chosen.rounds) for site in sites]
            areas = [auroc([score_on(m, s, "test", recipe) for s in sites]) for m in alone]
            line += " · alone, on all test cases " + " ".join(f"{a:.4f}" for a in areas)
        print(line, flush=True)


def _json(text: str) -> Any:
    found = json.loads(text)
    return text if isinstance(found, float) else found


if __name__ == "__main__":
    main()
