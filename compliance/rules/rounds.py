"""Rounds: who takes part, from which model, until when, and that nobody is dropped in silence.

Source: design/ledger.md §2.1 and §5.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from compliance.records.rounds import RoundAborted, RoundClosed, RoundOpened
from compliance.records.types import seconds_of
from compliance.rules.datasets import check_not_withdrawn
from compliance.rules.masking import check_closing, check_opening
from compliance.rules.methods import WITHOUT_WEIGHTS, rule_of
from compliance.rules.said import Said
from compliance.rules.state import ClosedRound, OpenRound, StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict

WEIGHT_TOLERANCE = Decimal("0.000000001")


def check_term(state: StudyState, said: Said) -> Denied | None:
    """Refuse what happens before the charter starts or after it expires."""
    if said.moment < seconds_of(state.charter.starts):
        return Denied("charter.early", said.time, state.charter.starts)
    if said.moment > seconds_of(state.charter.expires):
        return Denied("charter.expired", said.time, state.charter.expires)
    return None


def check_open(state: StudyState, number: int) -> Denied | None:
    """Refuse another round than the one that is open."""
    running = state.open_round.number if state.open_round else None
    return check_number(number, running)


def check_number(number: int, expected: int | None) -> Denied | None:
    """Refuse a round with another number than the one that is its turn."""
    if number != expected:
        return Denied("round.sequence", number, expected)
    return None


def may_open(state: StudyState, said: Said) -> Verdict:
    """Say whether this round may be opened."""
    body = said.as_(RoundOpened)
    return (
        check_term(state, said)
        or check_number(body.round, state.rounds_opened + 1)
        or _rounds_left(state)
        or check_sites(state, body.sites)
        or _papers(state, said, body.sites)
        or check_enough(state, len(body.sites))
        or check_opening(state, body.sites)
        or _start(state, body)
        or _deadline(state, said, body)
        or ALLOWED
    )


def open_round(state: StudyState, said: Said) -> None:
    """Begin the round."""
    body = said.as_(RoundOpened)
    state.rounds_opened = body.round
    state.open_round = OpenRound(
        number=body.round,
        index=said.index,
        sites=list(body.sites),
        model_sha256=body.model_sha256,
        deadline=body.deadline,
        mask_keys={site: key for site, key in state.mask_keys.items() if site in body.sites},
    )


def check_sites(state: StudyState, sites: list[str]) -> Denied | None:
    """Refuse a list that is not sorted or names a hospital that is not active."""
    active = state.active_sites()
    if sites != sorted(set(sites)) or not set(sites) <= set(active):
        return Denied("round.sites", sites, active)
    return None


def check_enough(state: StudyState, sites: int) -> Denied | None:
    """Refuse a round with fewer hospitals than agreed."""
    if sites < state.charter.min_sites:
        return Denied("round.min_sites", sites, state.charter.min_sites)
    return None


def may_abort(state: StudyState, said: Said) -> Verdict:
    """Say whether this is the open round."""
    return check_open(state, said.as_(RoundAborted).round) or ALLOWED


def end_round(state: StudyState, said: Said) -> None:
    """End the open round without a model; its number is used up."""
    state.open_round = None


def may_close(state: StudyState, said: Said) -> Verdict:
    """Say whether this account of the round is complete and true to what was submitted."""
    body = said.as_(RoundClosed)
    wrong = check_open(state, body.round)
    if wrong is not None:
        return wrong
    running = state.running
    return (
        _omission(running, body)
        or _inputs(running, body)
        or _may_count(state, running, body)
        or check_enough(state, len(body.used))
        or _method(state, body)
        or ALLOWED
    )


def close_round(state: StudyState, said: Said) -> None:
    """Take the new model and count who took part."""
    body = said.as_(RoundClosed)
    state.rounds_closed.append(
        ClosedRound(
            number=body.round,
            index=said.index,
            used=dict(body.used),
            excluded=dict(body.excluded),
            missing=dict(body.missing),
            weights={site: Decimal(weight) for site, weight in body.weights.items()},
            model_sha256=body.model_sha256,
            time=said.time,
        )
    )
    state.closed_numbers.add(body.round)
    state.model_sha256 = body.model_sha256
    state.models.add(body.model_sha256)
    for site in body.used:
        state.participation[site] = state.participation.get(site, 0) + 1
    state.open_round = None


def _rounds_left(state: StudyState) -> Denied | None:
    if len(state.rounds_closed) >= state.charter.max_rounds:
        return Denied("round.max", len(state.rounds_closed) + 1, state.charter.max_rounds)
    return None


def _papers(state: StudyState, said: Said, sites: list[str]) -> Denied | None:
    for site in sites:
        row = state.charter.legal.of(site)
        ends = row.first_expiry() if row else None
        if ends is not None and said.moment >= seconds_of(ends):
            return Denied("legal.expired", f"{site} at {said.time}", ends)
    return None


def _start(state: StudyState, body: RoundOpened) -> Denied | None:
    if body.model_sha256 != state.model_sha256:
        return Denied("round.model", body.model_sha256, state.model_sha256)
    if body.bundle_sha256 != state.charter.bundle_sha256:
        return Denied("round.bundle", body.bundle_sha256, state.charter.bundle_sha256)
    return None


def _deadline(state: StudyState, said: Said, body: RoundOpened) -> Denied | None:
    latest = said.moment + timedelta(seconds=state.charter.round_seconds)
    if not said.moment < seconds_of(body.deadline) <= latest:
        return Denied("round.deadline", body.deadline, f"{state.charter.round_seconds} s")
    return None


def _omission(running: OpenRound, body: RoundClosed) -> Denied | None:
    named = sorted([*body.used, *body.excluded, *body.missing])
    if named != running.sites:
        return Denied("round.omission", named, running.sites)
    silenced = sorted(set(body.missing) & set(running.submitted))
    if silenced:
        return Denied("round.omission", f"{silenced[0]} is missing", "it submitted")
    return None


def _inputs(running: OpenRound, body: RoundClosed) -> Denied | None:
    for site, used in body.used.items():
        sent = running.submitted.get(site)
        if sent is None or sent.update_sha256 != used:
            return Denied("round.inputs", used, sent.update_sha256 if sent else None)
    return None


def _may_count(state: StudyState, running: OpenRound, body: RoundClosed) -> Denied | None:
    if state.charter.aggregator.masked:
        return check_closing(running, body.used)
    return check_sites(state, sorted(body.used)) or _still_there(state, running, body)


def _still_there(state: StudyState, running: OpenRound, body: RoundClosed) -> Denied | None:
    for site in body.used:
        gone = check_not_withdrawn(state, site, running.submitted[site].dataset)
        if gone is not None:
            return gone
    return None


def _method(state: StudyState, body: RoundClosed) -> Denied | None:
    agreed = state.charter.aggregator.name
    if body.aggregator != agreed:
        return Denied("round.aggregator", body.aggregator, agreed)
    weights = {site: Decimal(weight) for site, weight in body.weights.items()}
    if not weights and rule_of(agreed) in WITHOUT_WEIGHTS:
        return None
    total = sum(weights.values(), Decimal(0))
    keys_fit = weights.keys() == body.used.keys() and all(w >= 0 for w in weights.values())
    if not keys_fit or abs(total - 1) > WEIGHT_TOLERANCE:
        return Denied("round.weights", str(total), "1, for exactly the used updates")
    return None
