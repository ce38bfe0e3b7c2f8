"""How much each hospital counts: by its examples, none above an agreed share, exactly 1 in all.

Source: design/federation.md §6.3 (`weight_cap`).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from hub.federation.aggregation.rule import Site

_PLACES = 12


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


def factors_of(examples: Mapping[Site, int], shares: Mapping[Site, Fraction]) -> tuple[float, ...]:
    """Weigh by n, so that plain averaging divides only once; by share where a share was cut."""
    whole = sum(examples.values())
    if all(shares[site] == Fraction(n, whole) for site, n in examples.items()):
        return tuple(float(n) for n in examples.values())
    return tuple(float(shares[site]) for site in examples)
