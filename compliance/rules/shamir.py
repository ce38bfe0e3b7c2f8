"""Shamir's secret sharing over the field of 2^521 - 1: any t shares give the secret, t - 1 nothing.

Source: Shamir 1979 (doi 10.1145/359168.359176); design/federation.md §11.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

PRIME = (1 << 521) - 1
SIZE = 66
"""Bytes of an element."""


def split(secret: int, threshold: int, places: int, random: Callable[[int], bytes]) -> list[int]:
    """Return the shares at x = 1 … places.

    Args:
        secret: 0 to PRIME - 1.
        threshold: shares that give the secret back, 1 to places.
        places: how many shares.
        random: so many bytes that nobody can guess.
    """
    if not (0 <= secret < PRIME and 1 <= threshold <= places < PRIME):
        raise ValueError("secret, threshold or number of shares is outside the field")
    coefficients = [secret, *(_element(random) for _ in range(threshold - 1))]
    return [_value(coefficients, x) for x in range(1, places + 1)]


def combine(shares: Mapping[int, int]) -> int:
    """The secret that these shares lie on, by x: Lagrange's polynomial at 0."""
    secret = 0
    for x, share in shares.items():
        above = below = 1
        for other in shares:
            if other != x:
                above = above * other % PRIME
                below = below * (other - x) % PRIME
        secret = (secret + share * above * pow(below, -1, PRIME)) % PRIME
    return secret


def _element(random: Callable[[int], bytes]) -> int:
    """An element by rejection: every one is as likely as any other."""
    while True:
        found = int.from_bytes(random(SIZE), "big") & PRIME
        if found != PRIME:
            return found


def _value(coefficients: list[int], x: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * x + coefficient) % PRIME
    return value
