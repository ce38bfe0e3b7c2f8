"""May this update leave the hospital?

Source: design/ledger.md §2.1 and §5.
"""

from __future__ import annotations

from decimal import Decimal

from compliance.records.rounds import PrivacyCost, UpdateSubmitted
from compliance.records.types import seconds_of
from compliance.rules.datasets import check_dataset
from compliance.rules.rounds import check_open, check_term
from compliance.rules.said import Said
from compliance.rules.state import OpenRound, StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict

ENCODING = {False: "packed-f32", True: "masked-u32"}
"""Half precision is reserved and refused in this version."""


def may_submit(state: StudyState, said: Said) -> Verdict:
    """Say whether this update may leave the hospital."""
    body = said.as_(UpdateSubmitted)
    wrong = check_term(state, said) or check_open(state, body.round)
    if wrong is not None:
        return wrong
    running = state.running
    return (
        _turn(running, said)
        or _base(state, running, body)
        or check_dataset(state, said.site, body.dataset, body.dataset_version)
        or _enough(state, body)
        or _privacy(state, said.site, body)
        or ALLOWED
    )


def submit(state: StudyState, said: Said) -> None:
    """Remember the update and charge its privacy cost, whether it is used later or not."""
    body = said.as_(UpdateSubmitted)
    state.running.submitted[said.site] = body
    if body.dp is not None:
        pair = said.site, body.dataset
        state.epsilon_spent[pair] = state.spent(*pair) + Decimal(body.dp.epsilon)


def _turn(running: OpenRound, said: Said) -> Denied | None:
    if said.site not in running.sites:
        return Denied("round.sites", said.site, running.sites)
    if running.unmasking is not None:
        return Denied("mask.lists", f"an update of {said.site}", "before the lists")
    if said.site in running.submitted:
        return Denied("update.twice", said.site)
    if said.moment > seconds_of(running.deadline):
        return Denied("round.deadline", said.time, running.deadline)
    return None


def _base(state: StudyState, running: OpenRound, body: UpdateSubmitted) -> Denied | None:
    if body.base_model_sha256 != running.model_sha256:
        return Denied("update.base", body.base_model_sha256, running.model_sha256)
    masked = state.charter.aggregator.masked
    if (body.masked, body.encoding) != (masked, ENCODING[masked]):
        return Denied("update.masked", body.encoding, ENCODING[masked])
    return None


def _enough(state: StudyState, body: UpdateSubmitted) -> Denied | None:
    if body.n < state.charter.min_examples:
        return Denied("update.min_examples", body.n, state.charter.min_examples)
    return None


def _privacy(state: StudyState, site: str, body: UpdateSubmitted) -> Denied | None:
    terms, cost = state.charter.dp, body.dp
    if (cost is None) != (terms is None) or (cost is not None and not _usable(cost)):
        return Denied("dp.missing", cost and cost.plain(), terms and terms.plain())
    if cost is None or terms is None:
        return None
    epsilon, cap = Decimal(cost.epsilon), state.epsilon_cap[site, body.dataset]
    spent = state.spent(site, body.dataset)
    if epsilon < 0 or spent + epsilon > cap:
        return Denied("dp.budget", str(spent + epsilon), str(cap))
    if not 0 <= Decimal(cost.delta) <= Decimal(terms.delta):
        return Denied("dp.delta", cost.delta, terms.delta)
    return None


def _usable(cost: PrivacyCost) -> bool:
    rate = Decimal(cost.sample_rate)
    return Decimal(cost.sigma) >= 0 and Decimal(cost.clip) >= 0 and 0 <= rate <= 1
