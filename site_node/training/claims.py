"""A measured value as the log takes it: decimals with six places, counts, or nothing at all."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeAlias

from site_node.training.statistics import Estimate

Claim: TypeAlias = dict[str, Decimal | int | None]
Claims: TypeAlias = dict[str, Claim]

NOTHING: Claim = {"value": None, "low": None, "high": None, "n": None, "positives": None}
_SIX_PLACES = Decimal("0.000001")


def written(found: Estimate | None, n: int, positives: int | None) -> Claim:
    """Write a value with its counts; without a value the counts say why."""
    claim: Claim = {**NOTHING, "n": n, "positives": positives}
    if found is not None:
        claim.update(value=_dec(found.value), low=_dec(found.low), high=_dec(found.high))
    return claim


def _dec(value: float) -> Decimal:
    return Decimal(repr(value)).quantize(_SIX_PLACES).normalize() + Decimal(0)
