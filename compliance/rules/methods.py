"""Which methods of aggregation and contribution exist, and what each needs (`charter.terms`).

Source: design/federation.md §6.3 and §10.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal

from compliance.records.charter import CharterBody
from compliance.rules.bounds import BOUNDS, outside
from compliance.rules.masking import terms as masking_terms
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
ANY_NUMBER = frozenset({"fedavg", "clipped_mean", "median"})
"""Rules that make a model of a single update, too."""
WITHSTANDS = frozenset({"trimmed_mean", "median", "nnm_trimmed"})
"""Rules that bear so many liars among enough hospitals."""

SERVERS = frozenset({"avgm", "adam", "yogi", "adagrad"})
SERVER_PARAMS = frozenset({"server_lr", "beta1", "beta2", "tau"})
MASK_PARAMS = frozenset({"n_ref", "mask_range"})
COMMON_PARAMS = frozenset({"norm_max", "offences", "keep_updates"}) | MASK_PARAMS
ROBUST_LEAST = 5
ROBUST = re.compile(r"\b(?:robust|byzantine)", re.IGNORECASE)
SAMPLED = frozenset({"shapley_sampled"})
SWEEPS = SAMPLED | {"shapley_exact", "shapley_proxy"}
"""Rules of contribution that train coalitions after the last round."""
CONTRIBUTIONS = SWEEPS | {"equal", "cases"}
SHARE_PARAMS = frozenset({"floor", "seeds", "pooled", "permutations"})
NNM_LEAST = 5
FLTRUST_LEAST = 2
"""The reference and one hospital that votes."""
ROOT = "root"
EXACT_MOST = 8
SAMPLED_MOST = 16
LEAST_SEEDS = 5
LEAST_ORDERS = 200

Problem = tuple[str, str]


def rule_of(aggregator: str) -> str:
    """The rule's name without its server step."""
    return aggregator.partition(".")[0]


def check_methods(body: CharterBody) -> Iterator[Denied]:
    """Name every method or parameter that the catalogue does not have, or that cannot be met."""
    for problem in (*_aggregator(body), *_needs(body), *_contribution(body)):
        yield Denied("charter.terms", *problem)


def check_aggregator(name: str, params: Mapping[str, str]) -> Iterator[Problem]:
    """Name what an aggregator cannot be: unknown, with a strange parameter, or out of bounds.

    Args:
        name: rule, or rule and server step with a dot between.
        params: as the charter writes them.

    Yields:
        What was found, and what is possible.
    """
    rule, dot, server = name.partition(".")
    if rule not in AGGREGATORS or (dot and server not in SERVERS):
        yield f"aggregator {name}", ", ".join(sorted(AGGREGATORS))
        return
    known = AGGREGATORS[rule] | COMMON_PARAMS | (SERVER_PARAMS if dot else frozenset())
    for param in sorted(set(params) - known):
        yield f"parameter {param} of {name}", ", ".join(sorted(known))
    needed = (AGGREGATORS[rule] & {"f"}) | ({"server_lr"} if dot else set())
    for param in sorted(needed - set(params)):
        yield f"{name} without {param}", BOUNDS[param].words
    for param in sorted(set(params) & known):
        if outside(param, params[param]):
            yield f"{param} = {params[param]}", BOUNDS[param].words


def reference_of(body: CharterBody) -> str | None:
    """The hospital whose update is the measure and no vote; None where the rule needs none."""
    if rule_of(body.aggregator.name) != "fltrust":
        return None
    return next((row.site for row in body.datasets if row.id == ROOT), None)


def _aggregator(body: CharterBody) -> Iterator[Problem]:
    rule, params = rule_of(body.aggregator.name), body.aggregator.params
    yield from check_aggregator(body.aggregator.name, params)
    if body.aggregator.masked:
        yield from masking_terms(body)
    for param in () if body.aggregator.masked else sorted(MASK_PARAMS & set(params)):
        yield f"parameter {param} without masks", "only with masked updates"
    if ROBUST.search(f"{body.title} {body.summary}") and not may_be_called_robust(body):
        yield (
            f"the word robust with {rule} and min_sites = {body.min_sites}",
            f"a rule that bears liars, and min_sites at least {ROBUST_LEAST}",
        )


def may_be_called_robust(body: CharterBody) -> bool:
    """Whether a study may say of itself that it withstands liars: never with four hospitals."""
    return rule_of(body.aggregator.name) in WITHSTANDS and body.min_sites >= ROBUST_LEAST


def _needs(body: CharterBody) -> Iterator[Problem]:
    rule, params = rule_of(body.aggregator.name), body.aggregator.params
    cap = Decimal(params.get("weight_cap", "1"))
    if cap * body.min_sites < 1:
        yield f"weight_cap = {cap}", f"at most 1, at least 1 / min_sites = 1 / {body.min_sites}"
    if "f" in AGGREGATORS.get(rule, ()):
        least = least_sites(rule, Decimal(params.get("f", "0")))
        if body.min_sites < least:
            yield f"min_sites = {body.min_sites} with {rule}", f"at least {least}"
    roots = {row.site for row in body.datasets if row.id == ROOT}
    if rule == "fltrust" and len(roots) != 1:
        yield f"fltrust with {len(roots)} reference sites", f"one site with a dataset named {ROOT}"
    if rule == "fltrust" and body.min_sites < FLTRUST_LEAST:
        yield f"min_sites = {body.min_sites} with {rule}", f"at least {FLTRUST_LEAST}"


def least_sites(rule: str, dropped: Decimal) -> Decimal:
    """The fewest updates with which a rule may drop so many at each end."""
    return max(2 * dropped + 1, Decimal(NNM_LEAST if rule == "nnm_trimmed" else 0))


def _contribution(body: CharterBody) -> Iterator[Problem]:
    rule, params = body.contribution.rule, body.contribution.params
    if rule not in CONTRIBUTIONS:
        yield f"contribution rule {rule}", ", ".join(sorted(CONTRIBUTIONS))
    for name in sorted(set(params) - SHARE_PARAMS):
        yield f"parameter {name} of {rule}", ", ".join(sorted(SHARE_PARAMS))
    for name in sorted(set(params) & SHARE_PARAMS):
        if outside(name, params[name]):
            yield f"{name} = {params[name]}", BOUNDS[name].words
    if rule in SWEEPS:
        yield from _sweep(body)


def _sweep(body: CharterBody) -> Iterator[Problem]:
    """What a sweep cannot be: too many hospitals, too few seeds, a rule that needs several."""
    rule, sites, made = body.contribution.rule, len(body.sites), rule_of(body.aggregator.name)
    if body.aggregator.masked:
        yield f"{rule} with masked updates", "equal or cases"
    if made not in ANY_NUMBER:
        yield f"{rule} with {made}", f"{', '.join(sorted(ANY_NUMBER))}: coalitions are small"
    if rule not in SAMPLED and sites > EXACT_MOST:
        yield f"{rule} with {sites} sites", f"at most {EXACT_MOST}"
    if rule in SAMPLED and not EXACT_MOST < sites <= SAMPLED_MOST:
        yield f"{rule} with {sites} sites", f"{EXACT_MOST + 1} to {SAMPLED_MOST}"
    if "seeds" not in body.contribution.params:
        yield f"{rule} without enough seeds", f"seeds at least {LEAST_SEEDS}"
