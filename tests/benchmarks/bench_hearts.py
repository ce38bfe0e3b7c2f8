"""Fed-Heart-Disease, four hospitals, five seeds, against the published accuracies.

The real way (the default): a hub, four nodes and Flower as processes on loopback; every hospital
imports its own table, trains, and scores its own test cases with the model of the last round. Each
study begins with the weights with which FLamby began (`study propose --start`), for plain SGD of
1,500 steps at 0.001 hardly leaves its start: over 40 other starts FedAvg gives .709 (sd .035).
The fast way plays the same rounds in this process with the same sessions, control variates and
aggregation; with `--both` the real studies must end in the very bytes of the same study here.

Run: `.venv/bin/python -m tests.benchmarks.bench_hearts [--fast | --both] [--seeds 42 43 44 45 46]
[--methods fedavg fedprox scaffold fedadam] [--rounds 15] [--at-once 5] [--keep docs/results]`.
With `--keep` each study is written down when it ends, beside those of earlier runs.
The bar (issue 5, a): mean over seeds of the mean over hospitals within 0.03 of FLamby's.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import secrets
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.hearts import COLUMNS, HOSPITALS, write_table
from tests.results import hearts_page, kept
from tests.results.played_hub import PlayedHub

BAR = 0.03
PLAIN: dict[str, Any] = {"name": "fedavg", "params": {}}


@dataclass(frozen=True)
class Method:
    """What FLamby ran, in our words, and the accuracy it printed."""

    published: float
    changes: Mapping[str, Any]
    aggregator: Mapping[str, Any]


ADAM = {"server_lr": "0.01", "beta1": "0.9", "beta2": "0.999", "tau": "0.00000001"}
METHODS = {
    "fedavg": Method(0.6850, {}, PLAIN),
    "fedprox": Method(0.6850, {"local": {"mu": "0.01"}}, PLAIN),
    "scaffold": Method(0.6840, {"local": {"scaffold": True}}, PLAIN),
    "fedadam": Method(
        0.7255, {"optimiser": {"lr": "0.01"}}, {"name": "fedavg.adam", "params": ADAM}
    ),
}
"""Source: shared/data/flamby/config_heart_disease.json and reference_tables.csv."""


@dataclass(frozen=True)
class Played:
    """One study: accuracy of each hospital, the model, the id from which its seeds follow.

    `model` is the begin of the last model's hash.
    """

    method: str
    seed: int
    accuracy: dict[str, float]
    model: str
    charter_id: str
    seconds: list[float]

    @property
    def mean(self) -> float:
        """Mean over the hospitals."""
        return statistics.fmean(self.accuracy.values())


def main(words: list[str]) -> int:
    """Print one JSON object: figures beside their bars; 1 below a bar or where the ways differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 43, 44, 45, 46])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--fast", action="store_true", help="in this process")
    parser.add_argument("--at-once", type=int, default=5, help="studies side by side")
    parser.add_argument("--keep", type=Path, help="folder of the kept results")
    parser.add_argument("--both", action="store_true", help="the real way, then the same again")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    with tempfile.TemporaryDirectory(prefix="consilium-hearts-") as folder:
        root = Path(folder)
        told = fast(root, asked) if asked.fast else real(root, asked)
    print(json.dumps(told, indent=1))
    return 0 if told["well"] else 1


def verdict(played: Mapping[str, Sequence[Played]], differing: Sequence[str]) -> dict[str, Any]:
    """The figures of every method beside its bar."""
    methods, well = {}, not differing
    for name, studies in played.items():
        means = [one.mean for one in studies]
        sites = {
            site: statistics.fmean(one.accuracy[site] for one in studies) for site in HOSPITALS
        }
        mean, worst = statistics.fmean(means), min(sites, key=lambda site: sites[site])
        held = abs(mean - METHODS[name].published) <= BAR
        well &= held
        seconds = [step for one in studies for step in one.seconds]
        methods[name] = {
            "mean": round(mean, 4),
            "published": METHODS[name].published,
            "bar": BAR,
            "held": held,
            "sd_over_seeds": round(statistics.stdev(means), 4) if len(means) > 1 else None,
            "sites": {site: round(value, 4) for site, value in sites.items()},
            "worst_site": worst,
            "seconds_a_round": round(statistics.median(seconds), 2) if seconds else None,
        }
    return {"methods": methods, "ways_differ": list(differing), "well": well}


# ----------------------------------------------------------------------------------- the fast way


def fast(root: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Every method and seed in this process."""
    folders = {site: import_here(root, site) for site in HOSPITALS}
    played: dict[str, list[Played]] = {}
    for name in asked.methods:
        for seed in asked.seeds:
            one = play(folders, name, seed, asked.rounds)
            played.setdefault(name, []).append(one)
            if asked.keep:
                keep(asked, one, "one process", None)
    return verdict(played, []) | {"way": "in one process", "rounds": asked.rounds}


def import_here(root: Path, site: str) -> Path:
    """Import one hospital's table as its node would; returns the dataset's folder."""
    from site_node.imaging.tabular.importing import TableImporter
    from site_node.store.journal import close_store
    from site_node.store.schema import open_store

    home = root / site
    home.mkdir()
    sessions = open_store(home / "site.sqlite")
    importer = TableImporter(home=home, sessions=sessions, floor=5, random=secrets.token_bytes)
    importer.run(write_table(site, home / "heart.csv"), name="heart", recipe=COLUMNS)
    close_store(sessions)
    return home / "datasets" / "heart"


def play(
    folders: Mapping[str, Path],
    name: str,
    seed: int,
    rounds: int,
    charter_id: str = "",
) -> Played:
    """Play one study in this process.

    Args:
        folders: the hospitals' datasets.
        name: of the method.
        seed: of the recipe.
        rounds: how many.
        charter_id: of a real study whose seeds are taken.
    """
    from compliance.records.layout import model_sha256
    from compliance.records.order import seed_of
    from compliance.records.recipe import layout_of
    from site_node.training.datasets import open_dataset
    from site_node.training.session import Job, handle_on

    recipe = recipe_of(name, seed)
    layout, data = layout_of(recipe), {site: open_dataset(path) for site, path in folders.items()}
    charter_id = charter_id or f"sha256:{seed:064x}"
    model, hub = published_start(seed), PlayedHub(METHODS[name].aggregator, layout)
    controls = {site: Control(layout.count) for site in data}
    for _ in range(rounds):
        base, updates = model_sha256(layout.sha256, model.tobytes()), {}
        for site, cases in data.items():
            control = controls[site].at(model) if recipe.local.scaffold else None
            seeded = seed_of(charter_id, base, f"{known_as(site)}")
            job = Job("train", recipe, layout, model, Path(), seeded, [], 5, control=control)
            result = handle_on(cases, job)
            controls[site].answered(model, result.delta, float(recipe.optimiser.lr), result.steps)
            updates[known_as(site)] = (result.delta, result.n)
        model = hub.step(model, updates)
    scored = {site: accuracy_of(model, folders[site], recipe) for site in data}
    short = model_sha256(layout.sha256, model.tobytes())[7:23]
    return Played(name, seed, scored, short, charter_id, [])


def published_start(seed: int) -> Any:
    """Where FLamby began: PyTorch's own start of a `Linear` of thirteen values, by its seed."""
    import numpy as np
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = torch.nn.Linear(13, 1)
    weight = head.weight.detach().numpy().reshape(-1)
    return np.concatenate([head.bias.detach().numpy(), weight]).astype(np.float32)


def known_as(hospital: str) -> str:
    """The name that a hospital has in the town of the real way."""
    return f"{_town_names()[HOSPITALS.index(hospital)]}.example"


def _town_names() -> tuple[str, ...]:
    from hub.demo import acts

    return acts.HOSPITALS[: len(HOSPITALS)]


def recipe_of(name: str, seed: int) -> Any:
    """The shipped recipe with the method's changes."""
    from compliance.records.recipe import shipped, with_changes

    return with_changes(shipped()["heart-logistic"], changes_of(name, seed))


def changes_of(name: str, seed: int) -> dict[str, Any]:
    """What a charter of this method changes."""
    return {"seed": seed, "baseline": False, **METHODS[name].changes}


class Control:
    """SCAFFOLD's memory of one hospital that takes part in every round."""

    def __init__(self, count: int) -> None:
        import numpy as np

        self._control, self._last = np.zeros(count), None

    def at(self, model: Any) -> Any:
        """The control for a round on this model."""
        import numpy as np

        from site_node.gate.controls import advance

        if self._last is not None:
            own, rate, steps = self._last
            self._control = advance(
                self._control, made=model.astype(np.float64), own=own, rate=rate, steps=steps
            )
        return self._control.astype(np.float32)

    def answered(self, model: Any, delta: Any, rate: float, steps: int) -> None:
        """Remember the own result."""
        import numpy as np

        self._last = (model.astype(np.float64) + delta.astype(np.float64), rate, steps)


def accuracy_of(model: Any, folder: Path, recipe: Any) -> float:
    """Accuracy at 0.5 on a hospital's test cases."""
    from site_node.training.pooled import evaluate_scores

    scores, labels = evaluate_scores(model, folder, "test", recipe=recipe)
    return float(((scores > 0.5) == labels).mean())


# ----------------------------------------------------------------------------------- the real way


def real(root: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """Every method and seed through a real hub and four real nodes; with `both`, here again."""
    town = opened(root / "town")
    folders = {site: home_of(town, site) / "datasets" / "heart" for site in HOSPITALS}
    played: dict[str, list[Played]] = {}
    differing: list[str] = []
    try:
        for name in asked.methods:
            for begin in range(0, len(asked.seeds), asked.at_once):
                seeds = asked.seeds[begin : begin + asked.at_once]
                for one in studies_of(town, name, seeds, asked.rounds):
                    sys.stderr.write(f"{name} {one.seed}: {one.mean:.4f} {one.accuracy}\n")
                    played.setdefault(name, []).append(one)
                    here = asked.both and play(
                        folders, name, one.seed, asked.rounds, one.charter_id
                    )
                    if here and here.model != one.model:
                        differing.append(f"{name} {one.seed}")
                    if asked.keep:
                        same = here.model == one.model if here else None
                        keep(asked, one, "real", same)
    finally:
        town.close()
    told = verdict(played, differing) | {"compared": asked.both}
    return told | {"way": "hub and four nodes", "rounds": asked.rounds}


def keep(asked: argparse.Namespace, one: Played, way: str, same: bool | None) -> None:
    """Write a study down, and the page anew."""
    row = {
        "way": way,
        "method": one.method,
        "seed": one.seed,
        "mean": round(one.mean, 6),
        "sites": {site: round(value, 6) for site, value in one.accuracy.items()},
        "model": one.model,
        "charter": one.charter_id,
        "rounds": asked.rounds,
        "seconds": round(sum(one.seconds), 1),
        "same_bytes_in_one_process": same,
    }
    rows = kept.add(asked.keep / "hearts.json", row, ("way", "method", "seed"), "bench_hearts")
    hearts_page.write(asked.keep, rows, {k: v.published for k, v in METHODS.items()}, BAR)


def opened(folder: Path) -> Any:
    """A hub and four hospitals that joined, imported their tables and serve."""
    from hub.demo import acts
    from tests.stories.town import Town

    town = Town(folder, sites=len(HOSPITALS))
    try:
        acts.open_hub(town.play)
        acts.join_hospitals(town.play)
        acts.found(town.play)
        acts.enrol_researcher(town.play)
        for site, hospital in zip(town.play.sites, HOSPITALS, strict=True):
            table = write_table(hospital, folder / f"{hospital}.csv")
            words = ("--table", str(table), "--recipe", str(COLUMNS), "--dataset", "heart")
            town.ask_site(site, "import", *words)
        town.serve()
    except BaseException:
        town.close()  # a hub that was slow to begin must not stay behind
        raise
    return town


def home_of(town: Any, hospital: str) -> Path:
    """The home of a hospital's node."""
    return Path(town.play.home(town.play.sites[HOSPITALS.index(hospital)]))


def studies_of(town: Any, name: str, seeds: Sequence[int], rounds: int) -> Iterator[Played]:
    """Propose, sign and launch studies side by side; await and score each one at every hospital."""
    from hub.demo import acts

    running = {}
    for seed in seeds:
        charter_id = propose(town, name, seed, rounds)
        town.sign()
        town.launch()
        running[seed] = (town.play.study, charter_id)
    for seed, (study, charter_id) in running.items():
        town.play.study = study
        seconds = watched(town, rounds)
        acts.release(town.play)
        file = town.play.state / f"{name}-{seed}.safetensors"
        words = ("hub", "model", study, "--out", str(file), "--home", town.play.hub)
        model = town.cast.ask(*words)["name"].removesuffix(".safetensors").rpartition("-")[2]
        accuracy = dict(acts.side_by_side(lambda h, f=file: (h, scored(town, f, h)), HOSPITALS))
        yield Played(name, seed, accuracy, model, charter_id, seconds)


def scored(town: Any, file: Path, hospital: str) -> float:
    """Accuracy of a released model on one hospital's test cases, at the hospital."""
    site = town.play.sites[HOSPITALS.index(hospital)]
    out = file.with_suffix(f".{hospital}.csv")
    words = ("--dataset", "heart", "--split", "test", "--out", str(out))
    town.ask_site(site, "evaluate", str(file), *words)
    return share_right(out)


def propose(town: Any, name: str, seed: int, rounds: int, **changes: Any) -> str:
    """Propose the charter of a method, with fields changed; returns its id."""
    import yaml

    from hub.demo import acts

    sites = [f"{site}.example" for site in sorted(town.play.sites)]
    draft = acts.charter_of(town.play, {}) | {
        "title": f"Heart disease, {name}, seed {seed}",
        "recipe": {"id": "heart-logistic", "changes": changes_of(name, seed)},
        "datasets": [{"site": site, "id": "heart"} for site in sites],
        "aggregator": {**METHODS[name].aggregator, "masked": False},
        "max_rounds": rounds,
        "min_sites": len(sites),
        "min_examples": 20,
        **changes,
    }
    path = town.play.state / "charter.yaml"
    path.write_text(yaml.safe_dump(draft, sort_keys=False))
    start = town.play.state / f"start-{seed}.f32"
    start.write_bytes(published_start(seed).tobytes())
    words = ("study", "propose", str(path), "--start", str(start))
    made = town.cast.ask(*words, "--home", town.play.researcher)
    town.play.study = made["study"]
    return str(made["charter_id"])


def watched(town: Any, rounds: int) -> list[float]:
    """Wait for the end of the study; seconds from the opening of each round to the next one's."""
    words = ("study", "watch", town.play.study, "--json", "--every", "1")
    for _ in town.cast.lines(*words, "--home", town.play.researcher):
        pass
    opened = [when for kind, when in town.times() if kind == "round.opened"]
    if len(opened) != rounds:
        raise AssertionError(f"{len(opened)} rounds were opened, {rounds} were agreed")
    return [(late - early).total_seconds() for early, late in itertools.pairwise(opened)]


def share_right(scores: Path) -> float:
    """Accuracy at 0.5 of the scores that a hospital wrote for itself."""
    with scores.open(newline="") as file:
        rows = [(float(row["score"]) > 0.5, row["label"] == "1") for row in csv.DictReader(file)]
    return sum(said == true for said, true in rows) / len(rows)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
