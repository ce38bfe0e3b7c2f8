"""Which methods of aggregation and contribution exist, and what each needs (`charter.terms`).

Source: design/federation.md §6.3 and §10.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from compliance.records.charter import CharterBody
from compliance.rules.verdict import Denied

AGGREGATORS: dict[str, frozenset[str]] = {
    "fedavg": frozenset({"weight_cap"}),
    "clipped_mean": frozenset({"weight_cap"}),
    "trimmed_mean": frozenset({"f"}),
    "median": frozenset(),
    "nnm_trimmed": frozenset({"f"}),
    "fltrust": frozenset(),
}
"""The closed catalogue with the parameters of each rule."""

WITHOUT_WEIGHTS = frozenset({"trimmed_mean", "median", "nnm_trimmed"})
SERVERS = frozenset({"avgm", "adam", "yogi", "adagrad"})
SERVER_PARAMS = frozenset({"server_lr", "beta1", "beta2", "tau"})
COMMON_PARAMS = frozenset({"norm_max", "offences"})
CONTRIBUTIONS = frozenset({"equal", "cases", "shapley_exact", "shapley_proxy", "shapley_sampled"})
NNM_LEAST = 5
ROOT = "root"
EXACT_MOST = 8
LEAST_SEEDS = 5

Problem = tuple[str, str]


def rule_of(aggregator: str) -> str:
    """The rule's name without its server step."""
    return aggregator.partition(".")[0]


def check_methods(body: CharterBody) -> Iterator[Denied]:
    """Name every method or parameter that the catalogue does not have, or that cannot be met."""
    for problem in (*_aggregator(body), *_needs(body), *_contribution(body)):
        yield Denied("charter.terms", *problem)


def _aggregator(body: CharterBody) -> Iterator[Problem]:
    rule, dot, server = body.aggregator.name.partition(".")
    if rule not in AGGREGATORS or (dot and server not in SERVERS):
        yield f"aggregator {body.aggregator.name}", ", ".join(sorted(AGGREGATORS))
        return
    known = AGGREGATORS[rule] | COMMON_PARAMS | (SERVER_PARAMS if dot else frozenset())
    for name in sorted(set(body.aggregator.params) - known):
        yield f"parameter {name} of {body.aggregator.name}", ", ".join(sorted(known))
    if body.aggregator.masked and rule != "fedavg":
        yield f"masked updates with {rule}", "masking only with fedavg"


def _needs(body: CharterBody) -> Iterator[Problem]:
    rule, params = rule_of(body.aggregator.name), body.aggregator.params
    cap = Decimal(params.get("weight_cap", "1"))
    if not 0 < cap <= 1 or cap * body.min_sites < 1:
        yield f"weight_cap = {cap}", f"at most 1, at least 1 / min_sites = 1 / {body.min_sites}"
    if rule in ("trimmed_mean", "nnm_trimmed"):
        dropped = Decimal(params.get("f", "0"))
        if dropped < 1 or dropped != dropped.to_integral_value():
            yield f"f = {params.get('f')}", "a whole number from 1"
        least = max(2 * dropped + 1, Decimal(NNM_LEAST if rule == "nnm_trimmed" else 0))
        if body.min_sites < least:
            yield f"min_sites = {body.min_sites} with {rule}", f"at least {least}"
    if rule == "fltrust" and not any(row.id == ROOT for row in body.datasets):
        yield "fltrust without a reference site", f"a dataset named {ROOT}"


def _contribution(body: CharterBody) -> Iterator[Problem]:
    rule = body.contribution.rule
    if rule not in CONTRIBUTIONS:
        yield f"contribution rule {rule}", ", ".join(sorted(CONTRIBUTIONS))
    if not rule.startswith("shapley"):
        return
    if body.aggregator.masked:
        yield f"{rule} with masked updates", "equal or cases"
    if rule == "shapley_exact" and len(body.sites) > EXACT_MOST:
        yield f"shapley_exact with {len(body.sites)} sites", f"at most {EXACT_MOST}"
    if Decimal(body.contribution.params.get("seeds", "0")) < LEAST_SEEDS:
        yield f"{rule} without enough seeds", f"seeds at least {LEAST_SEEDS}"
