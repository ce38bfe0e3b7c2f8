"""What hospitals of the stage say about a model: bins, groups, thresholds, leads, drift."""

from __future__ import annotations

from typing import Any

from compliance.records.measures import BINS, GROUPS
from site_node.gate.measures import MetricClaim, presentable

FLOOR = 5
SHARES = {
    "sex": (0.55, 0.45),
    "age": (0.2, 0.3, 0.35, 0.15),
    "scanner": (0.0, 0.0, 0.5, 0.2, 0.3, 0.0),
}
IN_BINS = (0.24, 0.14, 0.1, 0.08, 0.07, 0.07, 0.07, 0.07, 0.08, 0.08)
ILL = (0.06, 0.13, 0.2, 0.3, 0.42, 0.5, 0.63, 0.7, 0.79, 0.9)


def told(n: int, positives: int, number: float, half: float) -> dict[str, Any]:
    """A value as training gives it."""
    low, high = number - half, min(0.999, number + half)
    return {"value": number, "low": low, "high": high, "n": n, "positives": positives}


def door_values(n: int, positives: int, area: float, half: float) -> dict[str, dict[str, Any]]:
    """Everything about the common model on test cases, as it goes through a hospital's door."""
    found = {
        "auroc": told(n, positives, area, half),
        "sensitivity": told(n, positives, area - 0.05, half),
        "ece": told(n, positives, 0.043, 0.012),
    }
    for name, share, ill in zip(BINS, IN_BINS, ILL, strict=True):
        inside = round(n * share)
        found[name] = told(inside, round(inside * ill), ill, 1.4 / max(1, inside) ** 0.5 / 2)
    for family, words in GROUPS.items():
        for place, (word, share) in enumerate(zip(words, SHARES[family], strict=True)):
            some, ill = round(n * share), round(positives * share)
            area_here = area + 0.012 * (place - 1)
            enough = min(ill, some - ill) >= 10
            value = told(some, ill, area_here, half / max(share, 0.05) ** 0.5)
            nothing = dict.fromkeys(("value", "low", "high"))
            found[f"auroc.{family}.{word}"] = value if enough else {**value, **nothing}
    claim = MetricClaim("before_training", "test", found)
    return presentable(claim, list(found), FLOOR, n)
