"""What training with noise has cost: epsilon of a history of steps, by two accountants.

PRV reports (Gopi et al. 2021, arXiv 2106.02848, as Opacus has it), RDP (Mironov 2017) stands beside
it in a test. What an accountant cannot price counts as infinite.

Source: design/federation.md §8.2.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from decimal import Decimal
from functools import lru_cache
from typing import Literal

from compliance.rules.noise import SMALLEST_SIGMA

Spell = tuple[Decimal, Decimal, int]
"""Noise multiplier, sample rate, and how many steps were taken with them."""


def merged(history: Iterable[Spell]) -> tuple[Spell, ...]:
    """Add up steps of equal noise and rate: composition does not ask for the order."""
    steps: dict[tuple[Decimal, Decimal], int] = {}
    for sigma, rate, count in history:
        steps[sigma, rate] = steps.get((sigma, rate), 0) + count
    return tuple((*pair, count) for pair, count in sorted(steps.items()) if count > 0)


def epsilon_of(
    history: Iterable[Spell], delta: Decimal, accountant: Literal["prv", "rdp"] = "prv"
) -> float:
    """Epsilon of all steps together, an upper bound.

    Args:
        history: spells of equal steps, in any order.
        delta: the chance at which the bound may fail, above 0.
        accountant: `prv` reports; `rdp` is looser.

    Returns:
        0 for no step; infinite where the noise is below 0.3 or the accountant fails.
    """
    return _priced(merged(history), delta, accountant)


@lru_cache(maxsize=4096)
def _priced(history: tuple[Spell, ...], delta: Decimal, accountant: str) -> float:
    if not history:
        return 0.0
    if delta <= 0 or any(sigma < SMALLEST_SIGMA for sigma, _, _ in history):
        return math.inf
    try:
        found = _ask(history, float(delta), accountant)
    except Exception:  # noqa: BLE001 - OverflowError, ValueError …: what cannot be priced is not sold
        return math.inf
    return found if math.isfinite(found) and found >= 0 else math.inf


def _ask(history: tuple[Spell, ...], delta: float, accountant: str) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch is imported along and warns about itself
        from opacus.accountants import PRVAccountant, RDPAccountant  # heavy: it imports torch

        books = PRVAccountant() if accountant == "prv" else RDPAccountant()
        books.history = [(float(sigma), float(rate), steps) for sigma, rate, steps in history]
        return float(books.get_epsilon(delta=delta))
