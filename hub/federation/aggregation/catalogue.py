"""The closed catalogue: a charter may name these rules and no other."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from compliance.errors import Refused
from hub.federation.aggregation.fedavg import FedAvg
from hub.federation.aggregation.rule import Aggregator
from hub.services.drafts import AGGREGATORS


def aggregator(name: str, params: Mapping[str, Decimal]) -> Aggregator:
    """Return the rule that a charter names.

    Args:
        name: `charter.aggregator.name`.
        params: `charter.aggregator.params`; `weight_cap` in (0, 1], default 1. `norm_max`,
            `offences` and `keep_updates` steer the loop, not the rule, and are passed over.

    Raises:
        Refused: the name or a parameter is not in the catalogue, or out of bounds.
    """
    if name not in AGGREGATORS:
        raise Refused("charter.terms", found=f"aggregator {name}", agreed=", ".join(AGGREGATORS))
    unknown = sorted(set(params) - {"weight_cap", "norm_max", "offences", "keep_updates"})
    if unknown:
        raise Refused("charter.terms", found=f"parameter {unknown[0]}", agreed="weight_cap")
    cap = Decimal(params.get("weight_cap", Decimal(1)))
    if not 0 < cap <= 1:
        raise Refused("charter.terms", found=f"weight_cap {cap}", agreed="above 0, at most 1")
    return FedAvg(weight_cap=cap)
