"""Offers and requests: a grant is an intention, only a signed charter permits.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from dataclasses import replace

from compliance.records.registry import OfferMade, OfferWithdrawn, RequestAnswered, RequestMade
from compliance.records.types import seconds_of
from compliance.rules.consortium.state import ConsortiumState, Offer, Request
from compliance.rules.said import Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict


def may_offer(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether the name of the offer is new and its end lies ahead."""
    body = said.as_(OfferMade)
    if body.offer in state.offers:
        return Denied("offer.unknown", body.offer, "a name never used")
    if seconds_of(body.until) <= said.moment:
        return Denied("event.form", f"until {body.until}", f"after {said.time}")
    return ALLOWED


def offer(state: ConsortiumState, said: Said) -> None:
    """Let researchers ask for it."""
    body = said.as_(OfferMade)
    state.offers[body.offer] = Offer(said.index, said.site, body)


def may_withdraw_offer(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this offer is there and one's own."""
    name = said.as_(OfferWithdrawn).offer
    known = state.offers.get(name)
    if known is None or known.withdrawn is not None or known.maker != said.site:
        return Denied("offer.unknown", name, "an offer of one's own")
    return ALLOWED


def withdraw_offer(state: ConsortiumState, said: Said) -> None:
    """Let nobody ask for it any more."""
    name = said.as_(OfferWithdrawn).offer
    state.offers[name] = replace(state.offers[name], withdrawn=said.index)


def may_request(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this offer is open: not withdrawn, not over, its maker an active member."""
    name = said.as_(RequestMade).offer
    known = state.offers.get(name)
    if known is None or known.withdrawn is not None:
        return Denied("offer.unknown", name, "an open offer")
    if said.moment >= seconds_of(known.body.until):
        return Denied("offer.unknown", f"{name} at {said.time}", f"before {known.body.until}")
    if known.maker and known.maker not in state.active_members():
        return Denied("offer.unknown", name, f"{known.maker} is no active member")
    return ALLOWED


def request(state: ConsortiumState, said: Said) -> None:
    """Put the request before the maker of the offer."""
    state.requests[said.index] = Request(said.index, said.actor, said.as_(RequestMade))


def may_answer(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this request waits for an answer of the one who speaks."""
    body = said.as_(RequestAnswered)
    known = state.requests.get(body.request)
    if known is None or known.answer is not None:
        return Denied("request.unknown", body.request, "a request without an answer")
    if state.offers[known.body.offer].maker != said.site:
        return Denied("request.unknown", body.request, "a request for an offer of one's own")
    if (body.answer == "granted") != (body.reason is None):
        return Denied("event.form", f"{body.answer}, {body.reason}", "a reason for a refusal only")
    return ALLOWED


def answer(state: ConsortiumState, said: Said) -> None:
    """Keep the answer."""
    body = said.as_(RequestAnswered)
    known = state.requests[body.request]
    state.requests[body.request] = replace(known, answer=body.answer, reason=body.reason)
