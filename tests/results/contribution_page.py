"""The kept page of the account of contributions: what each hospital was worth, beside anchors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.hearts import HOSPITALS
from tests.results import kept

HEAD = """# What each of four hospitals contributed: Shapley values, trained anew

Written by `tests/benchmarks/bench_contribution.py`; do not edit. The hospitals of
[Fed-Heart-Disease](hearts.md): every one of the 15 coalitions is trained for every seed, and a
hospital's value is its mean gain of accuracy over all orders of joining. The anchors are the exact
values over FLamby's own five starts (design/federation.md §10).

The bar (issue 5, acceptance h): each value within ± 0.03 of its anchor; a duplicate within 0.01 of
its original; the interval of a free rider, who sends zeros, reaches 0 or below. What Shapley values
are not proof against stands on every statement.
"""


def write(folder: Path, rows: Sequence[kept.Row]) -> None:
    """Write `contribution.md` from every row that was kept."""
    lines = [HEAD]
    for row in rows:
        lines += [f"## {row['way'].capitalize()}, {row['starts']}", "", *_table(row["hearts"]), ""]
        lines += [_beside(row), ""]
    lines += ["Runs:", "", *kept.runs(rows)]
    (folder / "contribution.md").write_text("\n".join(lines) + "\n")


def _table(values: Mapping[str, Any]) -> list[str]:
    lines = ["| hospital | value | 95 % interval | seeds | anchor | difference |"]
    lines.append("|---|---|---|---|---|---|")
    for site in HOSPITALS:
        found = values[site]
        low, high = (f"{float(end):+.3f}" for end in found["interval"])
        gap = found["value"] - found["anchor"]
        lines.append(
            f"| {site} | {found['value']:+.4f} | {low} to {high} | {found['seeds']} "
            f"| {found['anchor']:+.3f} | {gap:+.4f} |"
        )
    return lines


def _beside(row: kept.Row) -> str:
    if "free_rider" not in row:
        apart = [site for site, found in row["hearts"].items() if not found["held"]]
        told = "every" if row["well"] else "NOT every"
        by_value = f" By value alone {', '.join(apart)} would not." if apart else ""
        return (
            f"Judged by intervals, for starts that a hub draws scatter: {told} one meets its "
            f"anchor ± 0.03.{by_value} Read from the exported bundle ({row['label']})."
        )
    held = "Held" if row["well"] else "NOT held"
    twins = " and ".join(f"{one['value']:+.4f}" for one in row["duplicate"].values())
    rider = row["free_rider"]
    low, high = (float(end) for end in rider["interval"])
    return (
        f"{held}. With Long Beach VA's table a second time: {twins}. "
        f"A free rider: {rider['value']:+.4f} ({low:+.3f} to {high:+.3f})."
    )
