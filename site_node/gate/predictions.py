"""The book of predictions: how many of what class by day, and how far the images have moved.

No patient, file or instance stands in it; it stays here.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from typing import Any

from site_node.gate.drift import UNSAID, labels_moved, light_moved
from site_node.gate.journal import Clock
from site_node.store import predictions as table
from site_node.store.journal import Sessions
from site_node.store.predictions import (
    PredictionLightRow,
    PredictionReferenceRow,
    PredictionRow,
)

DAYS = 30


class Predictions:
    """Reads the counts.

    Args:
        sessions: the site's database.
        clock: the time now.
    """

    def __init__(self, *, sessions: Sessions, clock: Clock) -> None:
        self._sessions, self._clock = sessions, clock

    def told(self, days: int = DAYS) -> list[dict[str, Any]]:
        """Each model that was used within the last days: counts and both indices."""
        since = f"{self._clock() - timedelta(days=days - 1):%Y-%m-%d}"
        with self._sessions() as session:
            counts = table.counts_since(session, since)
            light = table.light_since(session, since)
            known = {row.model: row for row in table.references(session)}
        models = sorted({row.model for row in light})
        return [
            _model(
                name,
                known.get(name),
                [row for row in counts if row.model == name],
                [row for row in light if row.model == name],
            )
            for name in models
        ]

    def flagged(self) -> list[dict[str, Any]]:
        """Models whose images or classes have moved too far."""
        return [row for row in self.told() if row["labels"]["flagged"] or row["light"]["flagged"]]


def _model(
    name: str,
    known: PredictionReferenceRow | None,
    counts: list[PredictionRow],
    light: list[PredictionLightRow],
) -> dict[str, Any]:
    images = sum(row.images for row in light)
    classes: Counter[str] = Counter()
    by_day: dict[str, dict[str, int]] = {}
    for row in counts:
        classes[row.outcome] += row.n
        by_day.setdefault(row.day, {})[row.outcome] = row.n
    model, _, layers = name.partition("+")
    told: dict[str, Any] = {
        "model_sha256": model,
        "layers_sha256": layers or None,
        "study": known.study if known else None,
        "dataset": known.dataset if known else None,
        "version": known.version if known else None,
        "images": images,
        "classes": dict(sorted(classes.items())),
        "days": by_day,
        "labels": UNSAID.plain(),
        "light": UNSAID.plain(),
    }
    if known is not None and known.version:
        both = known.images, images
        found = [
            sum(column) for column in zip(*(json.loads(row.bins) for row in light), strict=True)
        ]
        told["labels"] = labels_moved(json.loads(known.labels), dict(classes), both).plain()
        told["light"] = light_moved(json.loads(known.bins), found, both).plain()
    return told


def prediction_lines(rows: list[dict[str, Any]], days: int) -> list[str]:
    """The book for people."""
    if not rows:
        return [f"Nothing was predicted here within {days} days."]
    lines = []
    for row in rows:
        classes = ", ".join(f"{name} {n}" for name, n in row["classes"].items())
        where = f"study {row['study']}" if row["study"] else "study unknown"
        own = f" with own layers {row['layers_sha256'][:23]}…" if row["layers_sha256"] else ""
        model = f"{row['model_sha256'][:23]}…{own}"
        lines.append(f"{model}  {where}: {row['images']} images; {classes}")
        lines += [f"  {day}  {_day(counts)}" for day, counts in row["days"].items()]
        lines.append(f"  classes against the dataset: {_index(row['labels'])}")
        lines.append(f"  brightness against the dataset: {_index(row['light'])}")
    return lines


def _day(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items())


def _index(moved: dict[str, Any]) -> str:
    if moved["index"] is None:
        return "not judged: fewer than 50 images on one side, or no dataset of the study here"
    verdict = "MOVED: above 0.25" if moved["flagged"] else "as before"
    return f"index {moved['index']:.3f}, {verdict}"
