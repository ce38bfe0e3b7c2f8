"""The results of the demo's study, from what each hospital reported and what the demo may pool."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hub.demo.acts import DATASET, Play, side_by_side


def follow(play: Play, say: Callable[[str], None]) -> None:
    """Print what happens in the study until it is closed.

    Raises:
        CommandFailed: the study was stopped or abandoned, or the hub fell silent.
    """
    for line in play.cast.lines("study", "watch", play.study, "--home", play.researcher):
        say(f"     {line}")


def collect(play: Play, *, pooled: bool) -> dict[str, Any]:
    """Gather per hospital training cases and test AUC, and the AUC over all test cases."""
    metrics = play.cast.ask("study", "metrics", play.study, "--home", play.researcher)
    model = _final_model(play)

    def score(site: str) -> tuple[dict[str, Any], list[tuple[float, int]]]:
        name, file = f"{site}.example", play.state / f"scores-{site}.csv"
        own = play.cast.ask("site", "datasets", DATASET, "--home", play.home(site))
        play.cast.ask(
            *("site", "evaluate", str(model), "--dataset", DATASET, "--split", "test"),
            *("--out", str(file), "--home", play.home(site)),
        )
        row = {
            "name": name,
            "n_train": _count(own, "train"),
            "auc_local": _latest(metrics, name, "local.auroc"),
            "auc_federated": _latest(metrics, name, "auroc"),
        }
        return row, _read_scores(file)

    told = side_by_side(score, play.sites)
    sites = [row for row, _ in told]
    scores = [pair for _, pairs in told for pair in pairs]
    result: dict[str, Any] = {
        "study": play.study,
        "rounds": play.rounds,
        "sites": sites,
        "auc_test_federated": auc(scores),
    }
    if pooled:
        result["auc_test_pooled"] = _pooled(play)
    return result


def auc(scores: list[tuple[float, int]]) -> float | None:
    """Area under the ROC curve as the share of rightly ordered pairs, ties half (Mann-Whitney)."""
    positives = sum(label for _, label in scores)
    negatives = len(scores) - positives
    if not positives or not negatives:
        return None
    ordered = sorted(scores)
    rank_sum, index = 0.0, 0
    while index < len(ordered):
        end = index
        while end < len(ordered) and ordered[end][0] == ordered[index][0]:
            end += 1
        middle = (index + 1 + end) / 2
        rank_sum += middle * sum(label for _, label in ordered[index:end])
        index = end
    return round((rank_sum - positives * (positives + 1) / 2) / (positives * negatives), 4)


def _read_scores(path: Path) -> list[tuple[float, int]]:
    with path.open(newline="") as file:
        return [(float(row["score"]), int(row["label"])) for row in csv.DictReader(file)]


def _count(summary: dict[str, Any], split: str) -> int:
    counts = summary["n_by_split"][split]
    return int(counts if isinstance(counts, int) else sum(counts.values()))


def _latest(metrics: list[dict[str, Any]], site: str, name: str) -> float | None:
    found = [
        row["values"][name]["value"]
        for row in metrics
        if row["site"] == site and row["split"] == "test" and name in row["values"]
    ]
    return float(found[-1]) if found and found[-1] is not None else None


def _final_model(play: Play) -> Path:
    out = play.state / "model.safetensors"
    play.cast.ask("hub", "model", play.study, "--out", str(out), "--home", play.hub)
    return out


def _pooled(play: Play) -> float:
    folders = [str(Path(play.home(site)) / "datasets" / DATASET) for site in play.sites]
    recipe = play.state / "recipe.json"
    play.cast.ask("study", "recipe", play.study, "--out", str(recipe), "--home", play.researcher)
    text = play.cast.run(
        *("--rounds", str(play.rounds), "--recipe", str(recipe), *folders),
        module="site_node.training.pooled",
    )
    return float(json.loads(text.strip().splitlines()[-1])["auc_test_pooled"])
