"""The closed catalogue: a charter may name these rules and server steps and no other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from compliance.errors import Refused
from compliance.rules.methods import check_aggregator
from hub.federation.aggregation.aggregator import Aggregator
from hub.federation.aggregation.clipped_mean import ClippedMean
from hub.federation.aggregation.fedavg import FedAvg
from hub.federation.aggregation.fltrust import FLTrust
from hub.federation.aggregation.median import Median
from hub.federation.aggregation.nnm_trimmed import NnmTrimmed
from hub.federation.aggregation.rule import Rule
from hub.federation.aggregation.server import server_step
from hub.federation.aggregation.trimmed_mean import TrimmedMean

Params = Mapping[str, Decimal]


def _capped(make: type[FedAvg | ClippedMean]) -> Callable[[Params], Rule]:
    return lambda params: make(params["weight_cap"]) if "weight_cap" in params else make()


RULES: dict[str, Callable[[Params], Rule]] = {
    "fedavg": _capped(FedAvg),
    "clipped_mean": _capped(ClippedMean),
    "trimmed_mean": lambda params: TrimmedMean(int(params["f"])),
    "median": lambda _: Median(),
    "nnm_trimmed": lambda params: NnmTrimmed(int(params["f"])),
    "fltrust": lambda _: FLTrust(),
}
"""How each rule of `compliance.rules.methods.AGGREGATORS` is made from its parameters."""


def aggregator(name: str, params: Params) -> Aggregator:
    """Return the rule that a charter names, with its server step.

    Args:
        name: `charter.aggregator.name`: a rule, or rule and server step with a dot between.
        params: `charter.aggregator.params`; `norm_max`, `offences` and `keep_updates` steer the
            loop, not the rule, and are passed over.

    Raises:
        Refused: the name or a parameter is not in the catalogue, missing, or out of bounds.
    """
    for found, agreed in check_aggregator(name, {k: str(v) for k, v in params.items()}):
        raise Refused("charter.terms", found=found, agreed=agreed)
    rule, _, server = name.partition(".")
    return Aggregator(RULES[rule](params), server_step(server, params) if server else None)
