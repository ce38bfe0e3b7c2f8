"""What the parameters of an aggregator may be (`charter.terms`).

Source: design/federation.md §6.3.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple


class Bound(NamedTuple):
    """From where to where a parameter may go, and the same in words."""

    low: Decimal
    high: Decimal
    words: str
    with_low: bool = False
    with_high: bool = True
    whole: bool = False


_ZERO, _ONE, _MANY = Decimal(0), Decimal(1), Decimal(10**9)

BOUNDS: dict[str, Bound] = {
    "weight_cap": Bound(_ZERO, _ONE, "above 0, at most 1"),
    "f": Bound(_ONE, _MANY, "a whole number from 1", with_low=True, whole=True),
    "server_lr": Bound(_ZERO, Decimal(100), "above 0, at most 100"),
    "beta1": Bound(_ZERO, _ONE, "at least 0, below 1", with_low=True, with_high=False),
    "beta2": Bound(_ZERO, _ONE, "at least 0, below 1", with_low=True, with_high=False),
    "tau": Bound(_ZERO, _ONE, "above 0, at most 1"),
    "norm_max": Bound(_ZERO, _MANY, "above 0"),
    "offences": Bound(_ONE, _MANY, "a whole number from 1", with_low=True, whole=True),
    "n_ref": Bound(_ONE, _MANY, "a whole number from 1", with_low=True, whole=True),
    "mask_range": Bound(_ZERO, Decimal(1024), "above 0, at most 1024"),
    "floor": Bound(_ZERO, _ONE, "0 to 1", with_low=True),
    "seeds": Bound(Decimal(5), Decimal(100), "5 to 100", with_low=True, whole=True),
    "pooled": Bound(_ZERO, _ONE, "0 or 1", with_low=True, whole=True),
    "permutations": Bound(Decimal(200), Decimal(2000), "200 to 2000", with_low=True, whole=True),
    "keep_updates": Bound(_ZERO, _ONE, "0 or 1", with_low=True, whole=True),
}


def outside(name: str, value: str | Decimal) -> bool:
    """Say whether a parameter has a value that it must not have."""
    bound, found = BOUNDS[name], Decimal(value)
    low = bound.low <= found if bound.with_low else bound.low < found
    high = found <= bound.high if bound.with_high else found < bound.high
    return not (low and high and (not bound.whole or found == found.to_integral_value()))
