"""A hospital whose updates are not what they claim, round after round, rests; all agree on it."""

from __future__ import annotations

import pytest

from compliance.rules.offences import in_a_row, resting, rests
from tests.simulator import HUB, Federation, shares

SITES = ("east.example", "north.example", "south.example")
SOUTH = "south.example"


@pytest.fixture
def federation() -> Federation:
    """Three hospitals; two updates make a model."""
    return Federation(sites=SITES, min_sites=2, max_rounds=20)


def play(federation: Federation, reason: str | None) -> None:
    """One round in which south is left out for a reason, used, or silent (None)."""
    running = federation.opened().state.running
    here = [site for site in running.sites if site != SOUTH or reason is not None]
    federation.submitted(*here)
    used = {
        site: sent.update_sha256
        for site, sent in running.submitted.items()
        if site != SOUTH or reason == "used"
    }
    left_out = {} if reason in (None, "used") else {SOUTH: reason}
    closing = federation.closing(used=used, weights=shares(sorted(used)), excluded=left_out)
    federation.must("round.closed", closing, HUB)


def test_three_offences_in_a_row_bring_a_rest_of_three_rounds(federation: Federation) -> None:
    """It is said which rounds, and why; before the third one nobody rests."""
    for reason in ("bad_hash", "not_finite"):
        play(federation, reason)
        assert resting(federation.state) == {}
    play(federation, "wrong_shape")

    rest = resting(federation.state)[SOUTH]
    assert (rest.since, rest.until) == (4, 6)
    assert rest.reasons == ("bad_hash", "not_finite", "wrong_shape")
    for _ in range(3):
        assert SOUTH in resting(federation.state)
        federation.opened(sites=["east.example", "north.example"])
        assert SOUTH in resting(federation.state)
        federation.submitted()
        federation.must("round.closed", federation.closing(), HUB)
    assert resting(federation.state) == {}


@pytest.mark.parametrize("between", ["used", "norm_bound", "late"])
def test_an_update_that_is_what_it_claims_ends_the_row(
    federation: Federation, between: str
) -> None:
    """A large norm or a late answer is no offence."""
    for reason in ("bad_count", "bad_count", between, "bad_count", "bad_count"):
        play(federation, reason)

    assert resting(federation.state) == {}


def test_a_round_of_silence_neither_adds_nor_forgives(federation: Federation) -> None:
    """Whoever goes offline between two offences has offended twice in a row."""
    for reason in ("bad_hash", None, "bad_hash", None, "bad_hash"):
        play(federation, reason)

    assert list(resting(federation.state)) == [SOUTH]


def test_the_charter_says_how_many() -> None:
    """`offences` of the aggregator's parameters."""
    agreed = {"name": "fedavg", "params": {"offences": "1"}, "masked": False}
    strict = Federation(sites=SITES, min_sites=2, aggregator=agreed)
    play(strict, "bad_hash")

    assert list(resting(strict.state)) == [SOUTH]


def test_nobody_rests_where_too_few_would_be_left(federation: Federation) -> None:
    """One has left: without the offender no round could be opened, and nobody would learn why."""
    for _ in range(3):
        play(federation, "bad_hash")
    assert SOUTH in resting(federation.state)

    federation.leave("east.example")

    assert resting(federation.state) == {}


def test_who_left_does_not_rest(federation: Federation) -> None:
    """The offender withdrew: the others go on by themselves."""
    for _ in range(3):
        play(federation, "bad_hash")

    federation.leave(SOUTH)

    assert resting(federation.state) == {}


def test_a_row_is_told_while_it_lasts_and_begins_anew_with_a_rest(federation: Federation) -> None:
    """What a page says to people is counted as the rule counts."""
    for reason in ("bad_hash", None, "bad_count"):
        play(federation, reason)
    assert in_a_row(federation.state.rounds_closed, 3) == {SOUTH: ("bad_hash", "bad_count")}
    assert rests(federation.state.rounds_closed, 3) == {}

    play(federation, "bad_hash")

    assert in_a_row(federation.state.rounds_closed, 3) == {}
    assert set(rests(federation.state.rounds_closed, 3)) == {SOUTH}
