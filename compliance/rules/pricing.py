"""What steps with noise cost at most: a bound that needs no torch, for a look before signing.

A hospital charges by its own, tighter accountant (PRV). This bound is Rényi differential privacy of
the Poisson-sampled Gaussian at integer orders: other orders could only lower it.

Source: Mironov, Talwar, Zhang 2019 (arXiv 1908.10530, §3.3); the conversion of Canonne, Kamath,
Steinke 2020 (arXiv 2004.00010, proposition 12).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache

from compliance.rules.noise import SMALLEST_SIGMA

ORDERS = (*range(2, 65), 80, 96, 128, 192, 256, 512)
LARGEST_SIGMA = Decimal(100)
SIGMA_STEP = Decimal("0.01")


def bound_of(sigma: Decimal, rate: Decimal, steps: int, delta: Decimal) -> float:
    """Epsilon of so many equal steps, never less than it is.

    Args:
        sigma: noise multiplier.
        rate: chance of each patient to be in a step, 0 to 1.
        steps: how many.
        delta: the chance at which the bound may fail, above 0.

    Returns:
        0 for no step; infinite where the noise is below what the hospitals' accountant prices.
    """
    if steps < 1:
        return 0.0
    if sigma < SMALLEST_SIGMA or delta <= 0:
        return math.inf
    found = (steps * cost + _price_of(order, delta) for order, cost in _orders(sigma, rate))
    return max(0.0, min(found))


def most_steps(sigma: Decimal, rate: Decimal, delta: Decimal, cap: Decimal) -> int | None:
    """How many equal steps fit below a cap by this bound; None where they cost nothing."""
    if sigma < SMALLEST_SIGMA or delta <= 0:
        return 0
    if rate <= 0:
        return None
    found = ((float(cap) - _price_of(order, delta)) / cost for order, cost in _orders(sigma, rate))
    return max(0, math.floor(max(found)))


def least_sigma(rate: Decimal, steps: int, delta: Decimal, cap: Decimal) -> Decimal | None:
    """The least noise, in steps of 0.01, with which so many steps fit; None where none does."""
    low, high = 0, int((LARGEST_SIGMA - SMALLEST_SIGMA) / SIGMA_STEP)
    if bound_of(LARGEST_SIGMA, rate, steps, delta) > cap:
        return None
    while low < high:
        middle = (low + high) // 2
        if bound_of(SMALLEST_SIGMA + middle * SIGMA_STEP, rate, steps, delta) <= cap:
            high = middle
        else:
            low = middle + 1
    return SMALLEST_SIGMA + low * SIGMA_STEP


def _price_of(order: int, delta: Decimal) -> float:
    """What a Rényi bound of an order adds when it becomes epsilon and delta."""
    return math.log1p(-1 / order) - (math.log(delta) + math.log(order)) / (order - 1)


@lru_cache(maxsize=4096)
def _costs(sigma: Decimal, rate: Decimal) -> tuple[float, ...]:
    return tuple(_renyi(float(sigma), float(rate), order) for order in ORDERS)


def _orders(sigma: Decimal, rate: Decimal) -> Iterator[tuple[int, float]]:
    return zip(ORDERS, _costs(sigma, rate), strict=True)


def _renyi(sigma: float, rate: float, order: int) -> float:
    """One step at an integer order: ln Σ C(a,k) (1-q)^(a-k) q^k e^(k(k-1)/2s²), by a - 1."""
    if rate >= 1:
        return order / (2 * sigma**2)
    if rate <= 0:
        return 0.0
    inside, outside = math.log(rate), math.log1p(-rate)
    terms = [
        math.log(math.comb(order, k)) + k * inside + (order - k) * outside
        + k * (k - 1) / (2 * sigma**2)
        for k in range(order + 1)
    ]  # fmt: skip
    top = max(terms)
    return (top + math.log(math.fsum(math.exp(term - top) for term in terms))) / (order - 1)
