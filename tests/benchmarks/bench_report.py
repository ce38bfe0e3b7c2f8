"""How long a large study takes to export and to verify: 1,000 rounds of four hospitals.

6,001 entries in memory, three of four witnesses cosign. Measured are `build` + `write_zip` (what an
export does besides reading its database) and `verify` with its sixteen steps.

Run: `.venv/bin/python -m tests.benchmarks.bench_report [--rounds 1000]`.
The bars (compliance.md §1.3): export ≤ 10 s, verify ≤ 10 s, 64 MiB of memory above the log.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeVar

from compliance.ledger.checkpoint import Checkpoint, sign
from compliance.ledger.cosign import cosign
from compliance.records.types import seconds_of
from compliance.report.bundle import Material, build, write_zip
from compliance.report.verify import verify
from compliance.rules.policies import policy_in_force
from compliance.signing.keys import COSIGNATURE
from compliance.signing.note import assemble, parse
from tests import factories as make
from tests.simulator import HUB, Federation

SITES = make.NAMES[:4]
Answer = TypeVar("Answer")


def main(words: list[str]) -> int:
    """Print one JSON object: entries, bytes, seconds and memory of export and verification."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--memory", action="store_true", help="trace memory too; slower")
    asked = parser.parse_args(words)
    world = study(asked.rounds)
    material = Material(world.entries, witnessed(world), make.key(HUB))
    if asked.memory:
        tracemalloc.start()
    data, export = timed(lambda: write_zip(build(material)))
    report, check = timed(lambda: verify(data, policy_in_force(world.state)))
    told: dict[str, Any] = {
        "entries": len(world.entries),
        "log_mib": round(sum(map(len, world.entries)) / 2**20, 1),
        "bundle_mib": round(len(data) / 2**20, 1),
        "export_s": round(export, 2),
        "verify_s": round(check, 2),
        "exit_code": report.exit_code,
    }
    if asked.memory:
        told["peak_mib"] = round(tracemalloc.get_traced_memory()[1] / 2**20)
    print(json.dumps(told, indent=1))
    return report.exit_code


def study(rounds: int) -> Federation:
    """A long honest study."""
    rows = [make.dataset_row(name, epsilon=None) for name in SITES]
    world = Federation(sites=SITES, max_rounds=rounds, dp=None, datasets=rows)
    for _ in range(rounds):
        world.play_round()
    return world


def witnessed(world: Federation) -> bytes:
    """The checkpoint of everything, cosigned by three hospitals."""
    size = len(world.entries)
    note = parse(sign(Checkpoint(make.ORIGIN, size, world.state.root()), make.key(make.ORIGIN)))
    moment = int(seconds_of(world.time).timestamp()) + 60
    keys = [make.key(f"{site}/witness", COSIGNATURE) for site in SITES[:3]]
    lines = [cosign(note.text, key, moment + place) for place, key in enumerate(keys)]
    return assemble(note.text, [*note.lines, *lines])


def timed(deed: Callable[[], Answer]) -> tuple[Answer, float]:
    """The answer, and how many seconds it took."""
    begin = time.perf_counter()
    answer = deed()
    return answer, time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
