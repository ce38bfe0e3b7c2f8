"""How long a round's aggregation takes, and in how much memory: ten hospitals, a large model.

Updates lie in files, the new model goes into a file, as at a hub. The measure is a plain weighted
float32 sum of arrays that are loaded already, in place, in the same run. Each measurement is a
process of its own that does it several times; the least counts, processor time stands beside it.
Two threads share the chunks of an aggregation, so a machine with two quiet cores is what to measure
on. Extra memory is the peak above what the process had before.

Run: `.venv/bin/python -m tests.benchmarks.bench_aggregation [--millions 30] [--folder DIR]`.
The bars (issue 5, i): fedavg at most 2 times the plain sum, trimmed mean and median 8 times,
nnm_trimmed 40 times, each with at most 1.2 GB extra. Exit code 1 below a bar.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SITES = 10
EXTRA_GB = 1.2
BARS = {
    "fedavg": 2.0, "trimmed_mean": 8.0, "median": 8.0, "nnm_trimmed": 40.0,
    "clipped_mean": None, "fltrust": None, "fedavg.adam": None,
}  # fmt: skip
"""Most times the plain sum; None: told only."""

PARAMS = {
    "trimmed_mean": {"f": "2"},
    "nnm_trimmed": {"f": "2"},
    "fedavg.adam": {"server_lr": "0.01"},
}


def main(words: list[str]) -> int:
    """Print one JSON object with figures beside their bars."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--millions", type=int, default=30, help="values of the model")
    parser.add_argument("--repeat", type=int, default=5, help="times in one process")
    parser.add_argument("--rules", default=",".join(BARS))
    parser.add_argument("--folder", type=Path, help="where the files go; default: a temporary one")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args(words)
    if asked.one:
        print(json.dumps(one(asked.one, asked.folder, asked.repeat)))
        return 0
    with tempfile.TemporaryDirectory(prefix="consilium-bench-", dir=asked.folder) as made:
        write_files(Path(made), asked.millions * 1_000_000)
        found = {
            name: least(name, Path(made), asked.repeat)
            for name in ("plain", *asked.rules.split(","))
        }
    told = {name: judged(name, row, found["plain"]) for name, row in found.items()}
    good = all(row["within"] for row in told.values())
    print(json.dumps({"sites": SITES, "millions": asked.millions, "rules": told, "good": good}))
    return 0 if good else 1


def write_files(folder: Path, count: int) -> None:
    """Ten updates and a base, drawn in pieces."""
    import numpy as np

    random = np.random.default_rng(0)
    for name in ["base", *(f"s{place}.example" for place in range(SITES))]:
        with (folder / name).open("wb") as file:
            for start in range(0, count, 1 << 20):
                width = min(1 << 20, count - start)
                file.write(random.standard_normal(width, np.float32).tobytes())


def least(name: str, folder: Path, repeat: int) -> dict[str, float]:
    """What one process measured."""
    words = [sys.executable, "-m", __spec__.name, "--one", name, "--folder", str(folder)]
    words += ["--repeat", str(repeat)]
    done = subprocess.run(words, capture_output=True, check=True, text=True)
    return dict(json.loads(done.stdout))


def judged(name: str, row: dict[str, float], plain: dict[str, float]) -> dict[str, object]:
    """Figures beside their bars."""
    times, bar = row["wall"] / plain["wall"], BARS.get(name)
    within = bar is None or (times <= bar and row["extra_gb"] <= EXTRA_GB)
    return {
        "cpu_s": round(row["cpu"], 3), "wall_s": round(row["wall"], 3),
        "times_plain": round(times, 2), "bar": bar, "extra_gb": round(row["extra_gb"], 3),
        "bar_gb": EXTRA_GB if bar is not None else None, "within": within,
    }  # fmt: skip


def one(name: str, folder: Path, repeat: int) -> dict[str, float]:
    """One measurement in this process."""
    work = plain_sum(folder) if name == "plain" else aggregation(name, folder)
    had, times = resident(), []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    wall, cpu = min(times)
    return {"cpu": cpu, "wall": wall, "extra_gb": max(peak - had, 0) / 1e9}


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def plain_sum(folder: Path):
    """The measure: arrays in memory, one multiplication and one addition each, in place."""
    import numpy as np

    vectors = [np.fromfile(folder / f"s{place}.example", np.float32) for place in range(SITES)]
    total, term = np.zeros_like(vectors[0]), np.zeros_like(vectors[0])

    def work() -> None:
        for vector in vectors:
            np.multiply(vector, np.float32(0.1), out=term)
            np.add(total, term, out=total)

    return work


def aggregation(name: str, folder: Path):
    """What the hub does with files."""
    from compliance.records.charter import AggregatorRef
    from hub.federation.aggregation.again import Method
    from hub.federation.aggregation.rule import Sections

    count = (folder / "base").stat().st_size // 4
    agreed = AggregatorRef(name=name, params=PARAMS.get(name, {}), masked=False)
    reference = "s0.example" if name == "fltrust" else None
    method = Method(agreed, Sections(count, count), reference)
    updates = {path.name: (path, 100) for path in sorted(folder.glob("s*.example"))}
    inputs = method.inputs(folder / "base", updates)
    for made in folder.glob("*.part"):
        made.unlink()

    def work() -> None:
        method.write(inputs, folder / "model.part", folder / "state.part")

    return work


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
