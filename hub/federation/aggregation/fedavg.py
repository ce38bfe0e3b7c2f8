"""Federated averaging: each site's delta counts by its examples, none above an agreed share.

Source: McMahan et al. 2017; design/federation.md §6.2, §6.3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from compliance.errors import Malformed
from hub.federation.aggregation.rule import CHUNK, Outcome, Site, State, Update
from hub.federation.aggregation.vectors import FloatArray, Vector

_PLACES = 12


@dataclass(frozen=True)
class FedAvg:
    """Sum of n·d over sum of n; a share above `weight_cap` is cut, the others fill it pro rata."""

    weight_cap: Decimal = Decimal(1)

    def init(self, count: int) -> State:
        """Return the empty state: averaging remembers nothing."""
        return State()

    def apply(
        self,
        state: State,
        *,
        base: Vector,
        updates: Mapping[Site, Update],
        out: FloatArray,
        reference: Vector | None = None,
    ) -> tuple[State, Outcome]:
        """Write base + mean delta into `out`; see `Aggregator.apply`."""
        check(base, updates, out)
        examples = {site: updates[site].n for site in sorted(updates)}
        shares = capped_shares(examples, Fraction(self.weight_cap))
        factors = _factors(examples, shares)
        total = math.fsum(factors.values())
        vectors = [(factors[site], updates[site].vector) for site in factors]
        _walk(base, vectors, total, out)
        details = {
            "v": 1,
            "rule": "fedavg",
            "total": total.hex(),
            "factors": {site: factor.hex() for site, factor in factors.items()},
        }
        return state, Outcome(weights=decimals(shares), details=details)


def check(base: Vector, updates: Mapping[Site, Update], out: FloatArray) -> None:
    """Refuse a round that cannot be computed, before a value is written.

    Raises:
        Malformed: no update, another length, or n below 1.
    """
    if not updates:
        raise Malformed("round", "no update counts, so there is nothing to aggregate")
    if out.shape != (base.count,) or out.dtype != np.float32:
        raise Malformed("new model", f"it must be float32 with {base.count} values")
    for site, update in updates.items():
        if update.vector.count != base.count:
            raise Malformed(f"update of {site}", f"it must hold {base.count} values")
        if update.n < 1:
            raise Malformed(f"update of {site}", "it must rest on at least one example")


def capped_shares(examples: Mapping[Site, int], cap: Fraction) -> dict[Site, Fraction]:
    """Return each site's share of the new model, exactly.

    Args:
        examples: n by site.
        cap: no share is larger; below 1 / sites all shares are equal, for they must add up to 1.
    """
    cap = max(cap, Fraction(1, len(examples)))
    cut: set[Site] = set()
    while True:
        free = {site: n for site, n in examples.items() if site not in cut}
        left, whole = 1 - cap * len(cut), sum(free.values())
        shares = {site: left * n / whole for site, n in free.items()}
        over = {site for site, share in shares.items() if share > cap}
        if not over:
            return {site: shares.get(site, cap) for site in examples}
        cut |= over


def decimals(shares: Mapping[Site, Fraction]) -> dict[Site, Decimal]:
    """Write shares with twelve places that add up to exactly 1 (largest remainder, then name)."""
    scale = 10**_PLACES
    units = {site: int(share * scale) for site, share in shares.items()}
    rest = scale - sum(units.values())
    order = sorted(shares, key=lambda site: (units[site] - shares[site] * scale, site))
    for site in order[:rest]:
        units[site] += 1
    return {site: Decimal(units[site]).scaleb(-_PLACES).normalize() for site in sorted(units)}


def _factors(examples: Mapping[Site, int], shares: Mapping[Site, Fraction]) -> dict[Site, float]:
    """Weigh by n, so that plain averaging divides only once; by share where a share was cut."""
    whole = sum(examples.values())
    if all(shares[site] == Fraction(n, whole) for site, n in examples.items()):
        return {site: float(n) for site, n in examples.items()}
    return {site: float(shares[site]) for site in examples}


def _walk(base: Vector, vectors: list[tuple[float, Vector]], total: float, out: FloatArray) -> None:
    """Add in site order, in float64, one plain operation at a time: no BLAS, no fused step."""
    size = min(CHUNK, base.count)
    piece = np.empty(size, dtype=np.float32)
    term, step = np.empty(size, dtype=np.float64), np.empty(size, dtype=np.float64)
    for start in range(0, base.count, CHUNK):
        stop = min(start + CHUNK, base.count)
        width = stop - start
        step[:width] = 0.0
        for factor, vector in vectors:
            vector.read(start, stop, piece)
            np.copyto(term[:width], piece[:width])
            np.multiply(term[:width], factor, out=term[:width])
            np.add(step[:width], term[:width], out=step[:width])
        np.divide(step[:width], total, out=step[:width])
        base.read(start, stop, piece)
        np.copyto(term[:width], piece[:width])
        np.add(term[:width], step[:width], out=term[:width])
        out[start:stop] = term[:width]
