"""Results that stay in the repository: rows in a JSON file, each with when, where and from what."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


def add(path: Path, row: Mapping[str, Any], key: Sequence[str], program: str) -> list[Row]:
    """Put a row beside those of earlier runs, in the place of one with the same key.

    Args:
        path: JSON file, made when it is not there.
        row: what was found.
        key: fields by which rows are told apart.
        program: name of the benchmark's module.

    Returns:
        Every row, sorted by its key.
    """
    rows = json.loads(path.read_text()) if path.is_file() else []
    mine = [row[field] for field in key]
    rows = [old for old in rows if [old[field] for field in key] != mine]
    rows.append({**row, "run": run(program)})
    rows.sort(key=lambda one: [str(one[field]) for field in key])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(rows, indent=1) + "\n")
    return rows


def run(program: str) -> dict[str, str]:
    """Day, commit, command and machine of this run; a `+` is a checkout with changes."""
    said = " ".join(["python -m tests.benchmarks." + program, *sys.argv[1:]])
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _git("rev-parse", "--short=12", "HEAD") + ("+" if changed else ""),
        "command": said,
        "machine": f"{_processor()}, {os.cpu_count()} cores, shared, {platform.system()}",
    }


def runs(rows: Sequence[Row]) -> list[str]:
    """One line of a page for each run from which rows come."""
    told = {json.dumps(row["run"], sort_keys=True): row["run"] for row in rows}
    return [
        f"- {one['date']}, commit `{one['commit']}`, `{one['command']}`, on {one['machine']}."
        for one in told.values()
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _git(*words: str) -> str:
    made = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    return made.stdout.strip()
