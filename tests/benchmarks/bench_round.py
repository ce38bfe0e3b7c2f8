"""What a round costs beside training: three hospitals, a 28 MB model, next to nothing to learn.

Real processes over TLS on loopback: hub, SuperLink, gateway, three nodes. Each hospital takes one
step on two small images and evaluates a handful, so what is measured is the way of a model: orders,
permits, imports of torch and MONAI, signatures, log, witnesses, aggregation.

Run: `.venv/bin/python -m tests.benchmarks.bench_round [--rounds 6] [--recipe densenet121]`.
The bars (issue 5, b), two hospitals: at most 12 s for the first round, median at most 5 s
afterwards. With `--busy` two loops keep two cores busy beside it, and what counts is what fails:
rounds that were aborted, hospitals that were missing, "database is locked" in any log; all must be
0: `--busy --rounds 100 --sites 2`. Exit code 1 where something failed.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hub.federation.keeper import descendants
from tests.stories.town import Town

LOOPS, LOCKED = 2, "database is locked"
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
    parser.add_argument("--busy", action="store_true", help="keep two cores busy beside it")
    asked = parser.parse_args(words)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process is left behind
    with tempfile.TemporaryDirectory(prefix="consilium-bench-") as folder:
        town = Town(Path(folder), sites=asked.sites, rounds=asked.rounds, patients=120)
        with contextlib.ExitStack() as stack:
            stack.callback(town.close)
            town.open()
            town.serve()
            if asked.busy:
                for _ in range(LOOPS):
                    stack.callback(busy_loop().kill)
            seconds, work = measure(town, asked)
            failed = failures(town)
    told = {
        "recipe": asked.recipe,
        "sites": asked.sites,
        "seconds": [round(one, 2) for one in seconds],
        "median": round(statistics.median(seconds), 2),
        "cpu_seconds": [round(one, 2) for one in work],
        "median_cpu": round(statistics.median(work), 2),
        "cold": round(seconds[0], 2),
        "median_warm": round(statistics.median(seconds[1:] or seconds), 2),
        "busy": asked.busy,
        "failed": failed,
    }
    print(json.dumps(told))
    return 1 if any(failed.values()) else 0


def busy_loop() -> subprocess.Popen[bytes]:
    """A process that takes all that it gets of one core."""
    return subprocess.Popen([sys.executable, "-c", "while True: pass"])


def failures(town: Town) -> dict[str, int]:
    """What went wrong: aborted rounds, hospitals that are missing or left out, locked databases."""
    entries = town.entries()
    closed = [row["body"] for row in entries if row["type"] == "round.closed"]
    logs = [*town.play.state.glob("logs/*.log"), *town.play.state.glob("*/flower/*.log")]
    return {
        "aborted": sum(row["type"] == "round.aborted" for row in entries),
        "missing": sum(len(body["missing"]) + len(body["excluded"]) for body in closed),
        "locked": sum(path.read_text(errors="replace").count(LOCKED) for path in logs),
    }


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
        min_examples=5,
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
