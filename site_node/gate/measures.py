"""What a site may say about numbers: small counts are blanked, values are short decimals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from compliance.errors import Refused
from compliance.records.measures import part_of
from site_node.gate.small_cells import FIELDS, hide_parts

PLACES = Decimal("0.001")
LARGEST = Decimal(1000)
"""Shares lie below one and losses below this; a larger number could spell a word."""
CHUNK = 262_144
VALUE_BYTES = 4


@dataclass(frozen=True)
class MetricClaim:
    """What training measured on one split, before the gate looked at it.

    Args:
        phase: `before_training` or `after_training`.
        split: `validation` or `test`.
        values: name → {value, low, high: Decimal or None, n, positives: int or None}.
    """

    phase: str
    split: str
    values: Mapping[str, Mapping[str, Any]]


def presentable(
    claim: MetricClaim, names: list[str], min_cell: int, patients: int
) -> dict[str, dict[str, Any]]:
    """The agreed metrics of a claim with every count below the floor blanked.

    A count below `min_cell` takes its values with it: a mean over three cases tells about three
    people. So does a count above the `patients` of the dataset: it counts nobody. Of groups and
    bins nothing is told that a difference of counts would give away. Names that the charter does
    not list stay here.
    """
    shown = {}
    for name in sorted(claim.values):
        if name not in names:
            continue
        shown[name] = _cell(name, claim.values[name], min_cell, patients)
    return hide_parts(shown, min_cell)


def _cell(name: str, value: Mapping[str, Any], min_cell: int, patients: int) -> dict[str, Any]:
    n, positives = value.get("n"), value.get("positives")
    if n is None or int(n) < min_cell or int(n) > patients:
        return dict.fromkeys(FIELDS)
    few = positives is None or min(int(positives), int(n) - int(positives)) < min_cell
    if few and positives is not None and part_of(name) is not None:
        return dict.fromkeys(FIELDS)  # of a bin the value itself is the share of positives
    return {
        "value": decimal_text(value.get("value")),
        "low": decimal_text(value.get("low")),
        "high": decimal_text(value.get("high")),
        "n": int(n),
        "positives": None if few else int(positives),  # type: ignore[arg-type]  # few covers None
    }


def decimal_text(value: Any) -> str | None:
    """Write a number with at most three places; null for what is missing or not finite."""
    if value is None:
        return None
    number = value if isinstance(value, Decimal) else Decimal(str(value))
    if not number.is_finite() or abs(number) >= LARGEST:
        return None
    short = number.quantize(PLACES).normalize()
    return format(short if short else Decimal(0), "f")


def check_delta(delta: bytes, count: int, norm_max: Decimal | None) -> float:
    """Check the bytes of an update as they would travel; returns their Euclidean norm.

    Args:
        delta: float32, little-endian, 4 · `count` bytes.
        count: number of values of the layout.
        norm_max: largest norm that the charter allows, or None.

    Raises:
        Refused: wrong length (`update.shape`), a value that is not finite (`update.finite`), or a
            norm above the bound (`update.norm`).
    """
    if len(delta) != count * VALUE_BYTES:
        raise Refused("update.shape", len(delta), count * VALUE_BYTES)
    values, total = np.frombuffer(delta, dtype="<f4"), 0.0
    for start in range(0, count, CHUNK):
        part = values[start : start + CHUNK].astype(np.float64)
        if not np.isfinite(part).all():
            raise Refused("update.finite", sentence="The update holds a value that is no number.")
        total += float(np.add.reduce(part * part))
    norm = float(np.sqrt(total))
    if norm_max is not None and Decimal(norm) > norm_max:
        raise Refused("update.norm", f"{norm:.6g}", str(norm_max))
    return norm
