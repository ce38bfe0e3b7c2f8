"""Measured coalitions: complete, possible, of one stack for all; and the account that follows.

The inputs of an account are a function of the log. Whoever leaves a coalition out, or changes one,
gets another hash than every reader of the log.

Source: design/federation.md §10, §16.
"""

from __future__ import annotations

from typing import Any

from compliance.canonical import digest_of
from compliance.records.coalitions import CoalitionMeasured, CoalitionValue, coalition_text
from compliance.records.decisions import ContributionMeasured
from compliance.rules.datasets import check_dataset
from compliance.rules.methods import SWEEPS
from compliance.rules.rounds import check_term
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.sweeps import Plan, plan_of
from compliance.rules.verdict import ALLOWED, Denied, Verdict

VERSION = 2


def may_measure_coalitions(state: StudyState, said: Said) -> Verdict:
    """Say whether a hospital may lay these values down."""
    body, plan = said.as_(CoalitionMeasured), plan_of(state)
    if plan is None or state.open_round is not None:
        return Denied("coalition.sweep", body.sweep, "no sweep is due")
    return (
        check_term(state, said)
        or _fits(plan, body, said.site)
        or check_dataset(state, said.site, body.dataset, body.dataset_version)
        or _once(state, body, said.site)
        or _same_models(state, body)
        or _counts(state, body, said.site)
        or ALLOWED
    )


def measure_coalitions(state: StudyState, said: Said) -> None:
    """Keep the values."""
    body = said.as_(CoalitionMeasured)
    state.coalitions.setdefault(body.sweep, []).append((said.site, body))


def _fits(plan: Plan, body: CoalitionMeasured, site: str) -> Denied | None:
    known = {coalition_text(one) for one in plan.coalitions}
    strange = sorted(set(body.values) - known)
    for found, agreed, wrong in (
        (body.sweep, plan.name, body.sweep != plan.name),
        (body.seed, f"one of {len(plan.seeds)}", body.seed not in plan.seeds),
        (site, list(plan.sites), site not in plan.sites),
        (strange[:1], "the coalitions of the sweep", strange),
    ):
        if wrong:
            return Denied("coalition.sweep", found, agreed)
    return None


def _once(state: StudyState, body: CoalitionMeasured, site: str) -> Denied | None:
    for speaker, other in state.coalitions.get(body.sweep, ()):
        twice = set(other.values) & set(body.values)
        if (speaker, other.seed) == (site, body.seed) and twice:
            return Denied("coalition.sweep", f"{site} measured {min(twice)} again", "once")
    return None


def _same_models(state: StudyState, body: CoalitionMeasured) -> Denied | None:
    """All hospitals measure the same stack: a hub cannot show each of them another one."""
    for _, other in state.coalitions.get(body.sweep, ()):
        same = (other.seed, set(other.values)) == (body.seed, set(body.values))
        mixed = other.seed == body.seed and bool(set(other.values) & set(body.values))
        if mixed and (not same or other.models_sha256 != body.models_sha256):
            return Denied("coalition.models", body.models_sha256, other.models_sha256)
    return None


def _counts(state: StudyState, body: CoalitionMeasured, site: str) -> Denied | None:
    """Counts are possible, rest on the same cases throughout, and none is below the floor."""
    floor, before = state.charter.min_cell, state.coalitions.get(body.sweep, ())
    cases = {value.n for value in body.values.values()}
    cases |= {value.n for name, row in before for value in row.values.values() if name == site}
    splits = {body.split, *(row.split for name, row in before if name == site)}
    if len(cases) > 1 or len(splits) > 1:
        return Denied("coalition.counts", "several numbers of cases", "the same cases throughout")
    for coalition, value in body.values.items():
        if not _possible(value):
            return Denied("coalition.counts", f"coalition {coalition}", "correct at most n")
        if not _above(value, floor):
            return Denied("metric.floor", f"coalition {coalition}", floor)
    return None


def _possible(value: CoalitionValue) -> bool:
    if value.n is None:
        return value.correct is None and value.value is None
    if value.correct is not None:
        return value.value is None and value.correct <= value.n
    return value.value is None or 0 <= float(value.value) <= 1


def _above(value: CoalitionValue, floor: int) -> bool:
    if value.n is not None and value.n < floor:
        return False
    if value.n is None or value.correct is None:
        return True
    return min(value.correct, value.n - value.correct) >= floor


def check_account(state: StudyState, body: ContributionMeasured) -> Denied | None:
    """Refuse an account by a sweep whose inputs are not what the hospitals measured."""
    if body.rule not in SWEEPS:
        return None
    inputs = inputs_of(state, plan_of(state))
    if inputs is None:
        return Denied("contribution.inputs", body.inputs_sha256, "every coalition measured by all")
    agreed = digest_of(inputs)
    if body.inputs_sha256 != agreed:
        return Denied("contribution.inputs", body.inputs_sha256, agreed)
    return None


def keep_account(state: StudyState, said: Said) -> None:
    """Remember what an account by a sweep was made from."""
    body = said.as_(ContributionMeasured)
    if body.rule in SWEEPS:
        state.accounts[body.inputs_sha256] = inputs_of(state, plan_of(state)) or {}


def inputs_of(state: StudyState, plan: Plan | None) -> dict[str, Any] | None:
    """The inputs of the account of a sweep; None while a hospital has not measured all of it.

    Returns:
        `{"v": 2, "rule", "pooled", "sites", "orders", "seeds": {seed: {coalition: {site:
        [n, correct, value]}}}}`; orders only where they were sampled.
    """
    if plan is None:
        return None
    seeds: dict[str, dict[str, dict[str, list[Any]]]] = {
        str(seed): {coalition_text(one): {} for one in plan.coalitions} for seed in plan.seeds
    }
    for site, body in state.coalitions.get(plan.name, ()):
        for coalition, value in body.values.items():
            row = [value.n, value.correct, value.value]
            seeds[str(body.seed)][coalition][site] = row
    if any(set(row) != set(plan.sites) for rows in seeds.values() for row in rows.values()):
        return None
    terms = state.charter.contribution
    return {
        "v": VERSION,
        "rule": terms.rule,
        "pooled": terms.params.get("pooled", "0") == "1",
        "sites": list(plan.sites),
        "orders": [list(order) for order in plan.orders],
        "seeds": seeds,
    }
