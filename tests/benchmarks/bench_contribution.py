"""The account of contributions on the four hearts, against the exact values of federation.md §10.

The fast way plays the sweep in this process with the very session and stacking code of sites and
hub, once as it is, once with a hospital's table doubled under a second name, once with a free
rider that sends zeros. Starts are drawn as a hub draws them, or are FLamby's own (`--published`):
plain SGD of 1,500 steps hardly leaves its start, so five starts of a hub scatter more than the bar
(see `bench_hearts`); more seeds bring the mean back. The real way (`--real`) plays the same study
and its sweep through a hub, four nodes and Flower, and reads the account from the bundle.

Run: `.venv/bin/python -m tests.benchmarks.bench_contribution [--seeds 40] [--rounds 15] [--real]
[--published] [--keep docs/results]`.
The bar (issue 5, h): each value within 0.03 of the anchor; duplicates within .01 of one another;
the free rider's interval reaches 0 or below.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from tests.benchmarks import bench_hearts as hearts
from tests.hearts import HOSPITALS
from tests.results import contribution_page, kept

ANCHORS = {"cleveland": 0.109, "hungarian": 0.114, "switzerland": -0.001, "va": 0.018}
BAR, ALIKE = 0.03, 0.01
LOG = "sha256:" + "5" * 64
RIDER, TWIN = "rider", "va-twin"


def main(words: list[str]) -> int:
    """Print one JSON object: figures beside their bars; 1 below a bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--published", action="store_true", help="FLamby's own five starts")
    parser.add_argument("--real", action="store_true", help="a hub and four nodes, five seeds")
    parser.add_argument("--keep", type=Path, help="folder of the kept results")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="consilium-account-") as folder:
        told = real(Path(folder), asked) if asked.real else fast(Path(folder), asked)
    print(json.dumps(told, indent=1))
    if asked.keep:
        flamby, drawn = "FLamby's five starts", "starts that a hub draws"
        row = told | {"starts": flamby if asked.published else drawn, "rounds": asked.rounds}
        rows = kept.add(
            asked.keep / "contribution.json", row, ("way", "starts"), "bench_contribution"
        )
        contribution_page.write(asked.keep, rows)
    return 0 if told["well"] else 1


def verdict(values: Mapping[str, Any]) -> dict[str, Any]:
    """Each hospital's value beside its anchor."""
    rows = {}
    for site, found in values.items():
        low, high = found.interval or (None, None)
        rows[site] = {
            "value": round(float(found.mean), 4),
            "interval": [str(low), str(high)],
            "deviation": round(float(found.deviation or 0), 4),
            "seeds": found.seeds,
        }
        if site in ANCHORS:
            held = abs(float(found.mean) - ANCHORS[site]) <= BAR
            rows[site] |= {"anchor": ANCHORS[site], "held": held}
    return rows


# ----------------------------------------------------------------------------------- the fast way


def fast(root: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """The sweep as it is, with a twin, and with a free rider."""
    folders = {site: hearts.import_here(root, site) for site in HOSPITALS}
    began = time.perf_counter()
    plain = verdict(played(folders, asked))
    seconds = time.perf_counter() - began
    sys.stderr.write(f"hearts, {seconds:.0f} s: {json.dumps(plain)}\n")
    twin = verdict(played({**folders, TWIN: folders["va"]}, asked))
    sys.stderr.write(f"with a twin: {json.dumps(twin)}\n")
    rider = verdict(played({**folders, RIDER: folders["va"]}, asked))
    alike = abs(twin["va"]["value"] - twin[TWIN]["value"]) <= ALIKE
    free = float(rider[RIDER]["interval"][0]) <= 0
    well = all(row["held"] for row in plain.values()) and alike and free
    return {
        "way": "in one process", "seconds": round(seconds, 1), "hearts": plain,
        "duplicate": {site: twin[site] for site in ("va", TWIN)}, "alike": alike,
        "free_rider": rider[RIDER], "reaches_zero": free, "well": well,
    }  # fmt: skip


def played(folders: Mapping[str, Path], asked: argparse.Namespace) -> Mapping[str, Any]:
    """Play a whole sweep here; returns each hospital's value over the seeds."""
    from compliance.rules.contribution import valued
    from compliance.rules.sweeps import Plan

    sites = tuple(sorted(folders))
    seeds = tuple(range(42, 47)) if asked.published else tuple(range(asked.seeds))
    plan = Plan("here", sites, seeds, asked.rounds, tuple(range(1 << len(sites))))
    here = Here(folders, plan, published=asked.published)
    return valued({
        "v": 2, "rule": "shapley_exact", "pooled": True, "sites": list(sites), "orders": [],
        "seeds": here.counted(here.trained()),
    })  # fmt: skip


class Here:
    """Hospitals and hub in one process, by the code that each of them runs."""

    def __init__(self, folders: Mapping[str, Path], plan: Any, *, published: bool) -> None:
        from compliance.records.recipe import layout_of
        from site_node.training.datasets import open_dataset

        self._recipe = hearts.recipe_of("fedavg", 42)
        self._layout, self._plan, self._published = layout_of(self._recipe), plan, published
        self._data = {site: open_dataset(path) for site, path in folders.items()}
        self._items = [(seed, one) for seed in plan.seeds for one in plan.coalitions]

    def trained(self) -> Any:
        """The models of all coalitions and seeds after the last step."""
        from compliance.records.charter import AggregatorRef
        from hub.federation.aggregation.again import Method
        from hub.federation.aggregation.rule import sections_of
        from hub.federation.aggregation.stacked import empty_moments, next_models

        agreed = AggregatorRef(name="fedavg", params={}, masked=False)
        method, models = Method(agreed, sections_of(self._layout)), self._starts()
        moments = empty_moments(method, len(models))
        for _ in range(self._plan.rounds):
            sent = {site: self._sent(site, models) for site in self._plan.sites}
            models = next_models(method, models, moments, sent)
        return models

    def counted(self, models: Any) -> dict[str, Any]:
        """Counts of every coalition and seed; who is a copy or a rider has no cases of its own."""
        from site_node.training.session import Job
        from site_node.training.sweeping import measured

        found: dict[str, Any] = {str(seed): {} for seed in self._plan.seeds}
        for (seed, coalition), model in zip(self._items, models, strict=True):
            job = Job("evaluate", self._recipe, self._layout, model, Path(), 0, [], 5)
            rows = {site: measured(self._data[site], job, model) for site in HOSPITALS}
            told = {site: [n, correct, None] for site, (_, n, correct, _) in rows.items()}
            told |= {site: [None] * 3 for site in self._plan.sites if site not in told}
            found[str(seed)][format(coalition, "x")] = told
        return found

    def _sent(self, site: str, models: Any) -> Any:
        import numpy as np

        from compliance.records.layout import model_sha256
        from compliance.records.order import seed_of
        from hub.federation.aggregation.stacked import Sent
        from site_node.training.session import Job, handle_on

        places, known, rows = self._plan.places(self._items, site), {}, []
        for place in places:
            name = model_sha256(self._layout.sha256, models[place].tobytes())
            if name not in known:
                seed = seed_of(LOG, name, site)
                job = Job("train", self._recipe, self._layout, models[place], Path(), seed, [], 5)
                known[name] = handle_on(self._data[site], job)
            rows.append(known[name].delta * (site != RIDER))
        return Sent(
            np.array(rows, dtype=np.float32), places, 172 if site == RIDER else known[name].n
        )

    def _starts(self) -> Any:
        import numpy as np

        from compliance.rules.sweeps import start_seed
        from hub.services.start import initial_vector

        starts = {
            seed: hearts.published_start(seed)
            if self._published
            else initial_vector(self._layout, start_seed(LOG, seed))
            for seed in self._plan.seeds
        }
        return np.array([starts[seed] for seed, _ in self._items], dtype=np.float32)


# ----------------------------------------------------------------------------------- the real way


def real(root: Path, asked: argparse.Namespace) -> dict[str, Any]:
    """A study and its sweep through a hub and four nodes; the account from the hub's bundle."""
    terms = {"rule": "shapley_exact", "params": {"seeds": "5", "pooled": "1"}}
    town = hearts.opened(root / "town")
    try:
        hearts.propose(town, "fedavg", 42, asked.rounds, contribution=terms)
        town.sign()
        town.launch()
        began = time.monotonic()
        seconds = ended(town)
        account = stands(town)
        return read(bundle_log(town), town) | {
            "way": "hub and four nodes",
            "rounds": asked.rounds,
            "account": account,
            "seconds_in_all": round(time.monotonic() - began, 1),
            "seconds_of_the_sweep": round(seconds, 1),
        }
    finally:
        town.close()


def ended(town: Any) -> float:
    """Wait for the end of the study; seconds from its last round on."""
    last = None
    words = ("study", "watch", town.play.study, "--json", "--every", "0.5")
    for line in town.cast.lines(*words, "--home", town.play.researcher):
        told = json.loads(line)
        if last is None and told["rounds_closed"] >= told["max_rounds"]:
            last = time.monotonic()
    return time.monotonic() - (last or time.monotonic())


def stands(town: Any) -> dict[str, Any]:
    """Export the study and do with the bundle what an auditor does.

    The hospitals witness the last entries some seconds after the study ended; until then they are
    not in a bundle.

    Raises:
        CommandFailed: the bundle is refuted, or holds no account.
    """
    from hub.demo import acts
    from hub.demo.processes import CommandFailed

    for more in range(9, -1, -1):
        try:
            report = acts.export_and_verify(town.play)
            bundle = str(town.play.bundle)
            table = town.cast.ask("audit", "statement", bundle)
            break
        except CommandFailed:
            if not more:
                raise
            time.sleep(10)
    sheet = town.cast.ask("audit", "statement", bundle, "--pdf")
    return {
        "verified": report["verdict"], "entries": table["size"],
        "csv": Path(table["file"]).read_text(encoding="utf-8").splitlines(),
        "pdf_bytes": sheet["bytes"],
    }  # fmt: skip


def bundle_log(town: Any) -> Any:
    """The log of the exported bundle."""
    from compliance.report.compare import read_evidence
    from compliance.report.reading import read_log

    evidence = read_evidence(town.play.bundle)
    return read_log(evidence.entries, evidence.note)


def read(log: Any, town: Any) -> dict[str, Any]:
    """The account of a log, by hospital."""
    from compliance.report.account import accounts_of

    (account,) = accounts_of(log.events, log.state)
    names = dict(zip([f"{site}.example" for site in town.play.sites], HOSPITALS, strict=True))
    rows = verdict({names[line.site]: line.value for line in account.lines})
    exact = sum((line.value.mean for line in account.lines if line.value), Fraction(0))
    shares = {names[line.site]: line.share for line in account.lines}
    inside = {
        site: float(row["interval"][0]) <= ANCHORS[site] + BAR
        and float(row["interval"][1]) >= ANCHORS[site] - BAR
        for site, row in rows.items()
    }
    return {
        "hearts": rows, "shares": shares, "sum_of_values": str(exact), "interval_meets_bar": inside,
        "label": account.label, "well": all(inside.values()),
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
