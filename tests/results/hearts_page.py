"""The kept page of the hearts: a table of every method, a picture, and where it comes from."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.hearts import HOSPITALS
from tests.results import kept, picture

NAMES = {"fedavg": "FedAvg", "fedprox": "FedProx", "scaffold": "SCAFFOLD", "fedadam": "FedAdam"}

HEAD = """# Fed-Heart-Disease: four hospitals, five seeds, against the published accuracies

Written by `tests/benchmarks/bench_hearts.py`; do not edit. Each hospital has its own table
(Cleveland, Hungary, Switzerland, Long Beach VA; split of FLamby); 15 rounds of 100 steps. Accuracy
at 0.5; the mean over hospitals does not weigh them by size. Every study began with FLamby's own
start weights; the real ones by `consilium study propose --start`, named by hash in the charter.

The bar (issue 5, acceptance a): the mean over seeds lies within ± {bar} of the published number
(FLamby, arXiv 2210.04620).

![Accuracy of each study, by method](hearts.svg)
"""
WAYS = {
    "real": "Through a hub and four nodes, as processes on one machine; each hospital scored its "
    "own test cases with the released model.",
    "one process": "The same sessions, control variates and aggregation in one process. The order "
    "of cases in a real study follows from its charter's id, so figures differ a little.",
}


def write(
    folder: Path, rows: Sequence[kept.Row], published: Mapping[str, float], bar: float
) -> None:
    """Write `hearts.md` and `hearts.svg` from every row that was kept."""
    lines, points, marks = [HEAD.format(bar=bar)], {}, {}
    for way, words in WAYS.items():
        mine = [row for row in rows if row["way"] == way]
        found = {name: [row for row in mine if row["method"] == name] for name in published}
        found = {name: some for name, some in found.items() if some}
        if not found:
            continue
        lines += [f"## {way.capitalize()}", "", words, "", *_table(found, published, bar), ""]
        lines += [*_studies(mine), ""]
        if way == "real":
            lines += [_compared(mine), ""]
        for name, some in found.items():
            label = NAMES[name] if way == "real" else f"{NAMES[name]}, one process"
            points[label] = [row["mean"] for row in some]
            marks[label] = (published[name] - bar, published[name] + bar)
    lines += ["Runs:", "", *kept.runs(rows)]
    (folder / "hearts.md").write_text("\n".join(lines) + "\n")
    axis, band = "Mean accuracy over four hospitals", f"published ± {bar}"
    (folder / "hearts.svg").write_text(picture.dots(points, marks, axis, band))


def _compared(rows: Sequence[kept.Row]) -> str:
    same = [row["same_bytes_in_one_process"] for row in rows]
    told = sum(one is not None for one in same)
    return (
        f"{told} of {len(rows)} studies were played again in one process, with the same charter "
        f"ids; {sum(one is True for one in same)} of them ended in the very same bytes."
    )


def _table(
    by_method: Mapping[str, Sequence[kept.Row]], published: Mapping[str, float], bar: float
) -> list[str]:
    head = "| method | seeds | mean | sd over seeds | published | difference | within the bar |"
    lines = [head + " worst hospital |", "|---|---|---|---|---|---|---|---|"]
    for name, rows in by_method.items():
        means = [row["mean"] for row in rows]
        mean = statistics.fmean(means)
        spread = f"{statistics.stdev(means):.3f}" if len(means) > 1 else "-"
        sites = {s: statistics.fmean(row["sites"][s] for row in rows) for s in HOSPITALS}
        worst = min(sites, key=lambda site: sites[site])
        gap = mean - published[name]
        lines.append(
            f"| {NAMES[name]} | {len(rows)} | {mean:.4f} | {spread} | {published[name]:.4f} "
            f"| {gap:+.4f} | {'yes' if abs(gap) <= bar else 'NO'} | {worst} {sites[worst]:.3f} |"
        )
    return lines


def _studies(rows: Sequence[kept.Row]) -> list[str]:
    head = "| method | seed | mean | " + " | ".join(HOSPITALS) + " | model | seconds |"
    lines = [head, "|---|---|---|" + "---|" * (len(HOSPITALS) + 2)]
    for row in rows:
        sites = " | ".join(f"{row['sites'][site]:.3f}" for site in HOSPITALS)
        lines.append(
            f"| {NAMES[row['method']]} | {row['seed']} | {row['mean']:.4f} | {sites} "
            f"| `{row['model']}` | {row['seconds']:.0f} |"
        )
    return lines
