"""What a round costs beside training: three hospitals, a 28 MB model, next to nothing to learn.

Real processes over TLS on loopback: hub, SuperLink, gateway, three nodes. Each hospital takes one
step on two small images and evaluates a handful, so what is measured is the way of a model: orders,
permits, imports of torch and MONAI, signatures, log, witnesses, aggregation.

Run: `.venv/bin/python -m tests.benchmarks.bench_round [--rounds 6] [--recipe densenet121]`.
The bar (issue 2, i): at most 12 s a round, median, two cores, torch import included.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from hub.federation.keeper import descendants
from tests.stories.town import Town

NEXT_TO_NOTHING = {
    "baseline": False,
    "local": {"steps": 1, "batch": 2},
    "augment": {"rotate": "0", "shift": "0", "noise": "0", "flip": False},
    "preprocessing": {"size": [32, 32]},
}


def main(words: list[str]) -> int:
    """Print one JSON object: seconds of every round, their median, bytes of the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--sites", type=int, default=3)
    parser.add_argument("--recipe", default="densenet121")
    asked = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="consilium-bench-") as folder:
        town = Town(Path(folder), sites=asked.sites, rounds=asked.rounds, patients=120)
        try:
            town.open()
            town.serve()
            seconds, work = measure(town, asked)
        finally:
            town.close()
    told = {
        "recipe": asked.recipe,
        "sites": asked.sites,
        "seconds": [round(one, 2) for one in seconds],
        "median": round(statistics.median(seconds), 2),
        "cpu_seconds": [round(one, 2) for one in work],
        "median_cpu": round(statistics.median(work), 2),
    }
    print(json.dumps(told))
    return 0


def work_of(town: Town) -> dict[str, float]:
    """Processor seconds so far of each server with all that it started, ended children included."""
    found = {}
    for name, child in town.cast.servers():
        ticks = 0
        for pid in {child.pid} | descendants(child.pid):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(int(word) for word in words[11:15])
        found[name] = ticks / os.sysconf("SC_CLK_TCK")
    return found


def measure(town: Town, asked: argparse.Namespace) -> tuple[list[float], list[float]]:
    """Wall and processor seconds from one closed round to the next; the first from its opening."""
    town.propose(
        recipe={"id": asked.recipe, "changes": NEXT_TO_NOTHING},
        max_rounds=asked.rounds,
        round_seconds=300,
        min_sites=asked.sites,
        min_examples=2,
        min_cell=5,
    )
    town.sign()
    town.launch()
    marks, work = [time.monotonic()], [work_of(town)]
    words = ("study", "watch", town.play.study, "--json", "--every", "0.5")
    for line in town.cast.lines(*words, "--home", town.play.researcher):
        told = json.loads(line)
        if told["rounds_closed"] >= len(marks):
            marks.append(time.monotonic())
            work.append(work_of(town))
            sys.stderr.write(f"{work[-1]}\n")
        elif len(marks) == 1 and told.get("asked") and not told["submitted"]:
            marks[0], work[0] = time.monotonic(), work_of(town)
    spent = [sum(one.values()) for one in work]
    return _steps(marks), _steps(spent)


def _steps(values: list[float]) -> list[float]:
    return [late - early for early, late in itertools.pairwise(values)]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
