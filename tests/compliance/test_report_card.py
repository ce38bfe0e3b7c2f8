"""The card of a model: made from the log alone, and refuted where it says something else."""

from __future__ import annotations

import json

import pytest

from compliance.canonical import encode, sha256_id
from compliance.errors import NotProven
from compliance.report.card import card, check_card
from compliance.rules.fold import replay
from compliance.rules.releases import standing
from tests import factories as make
from tests.simulator import Federation, refused

EAST, NORTH, SOUTH = make.NAMES[:3]


@pytest.fixture
def federation() -> Federation:
    """One closed round with a hospital left out; round 2 measured its model; two agreed."""
    made = Federation().opened().submitted(EAST, NORTH)
    made.must("round.closed", made.closing(), make.EVENTS)
    made.opened()
    told = make.metric(EAST, round=2, model_sha256=made.state.running.model_sha256)
    made.must("metric.reported", told, f"{EAST}/node")
    made.must("round.aborted", {"round": 2, "reason": "operator", "on_behalf": None}, make.EVENTS)
    return made.approve(EAST, NORTH)


def released(federation: Federation, data: bytes) -> str:
    """The hub releases the newest model with this card; returns where the card belongs."""
    model = federation.state.model_sha256
    verdict = federation.release(card_sha256=sha256_id(data))
    assert not hasattr(verdict, "rule"), verdict
    return f"data/model/{model.removeprefix('sha256:')[:16]}/card.json"


def made(federation: Federation) -> bytes:
    """The true card of the newest model."""
    return card(federation.state, federation.state.model_sha256, "weights")


def test_the_card_names_who_was_used_left_out_and_agreed(federation: Federation) -> None:
    """Every number carries the entry from which it comes."""
    plain = json.loads(made(federation))

    (row,) = plain["rounds"]
    assert (row["used"], row["left_out"]) == ([EAST, NORTH], {SOUTH: "no_answer"})
    assert plain["agreed"] == [EAST, NORTH]
    (number,) = plain["numbers"]
    assert number["values"]["auroc"]["value"] == "0.87"
    assert b"0.87" in federation.entries[number["entry"]]


def test_the_card_stays_provable_when_the_log_goes_on(federation: Federation) -> None:
    """It tells from how many entries it was made: later ones change nothing."""
    data = made(federation)
    path = released(federation, data)
    federation.play_round()

    check_card(path, data, federation.entries)

    size = json.loads(data)["size"]
    state = replay(federation.entries[:size])
    assert card(state, state.model_sha256, "weights") == data


def test_a_model_of_no_round_has_a_card_without_rounds(federation: Federation) -> None:
    """Nothing is invented about a model that the log does not know."""
    plain = json.loads(card(federation.state, make.sha("other"), "weights"))

    assert (plain["rounds"], plain["numbers"], plain["agreed"]) == ([], [], [])


def test_a_card_that_no_entry_names_is_refuted(federation: Federation) -> None:
    """A true card of a model that was never released proves no release."""
    with pytest.raises(NotProven, match="no entry"):
        check_card("data/model/x/card.json", made(federation), federation.entries)


def test_a_false_card_on_record_is_refuted(federation: Federation) -> None:
    """The hash is signed by the hub, and the numbers are still not those of the log."""
    false = made(federation).replace(b'"0.87"', b'"0.97"')
    path = released(federation, false)

    with pytest.raises(NotProven, match="something else"):
        check_card(path, false, federation.entries)


def test_a_card_beside_another_model_is_refuted(federation: Federation) -> None:
    """The folder says which model it is about."""
    data = made(federation)
    released(federation, data)

    with pytest.raises(NotProven, match="another model"):
        check_card("data/model/0011223344556677/card.json", data, federation.entries)


@pytest.mark.parametrize("false", [b"[]", b"{}", b"no json", encode({"size": "many"})])
def test_bytes_that_are_no_card_are_refuted(federation: Federation, false: bytes) -> None:
    """Whatever the hub put on record, a verifier answers in words."""
    path = released(federation, false)

    with pytest.raises(NotProven, match="no card of ours"):
        check_card(path, false, federation.entries)


def test_who_left_no_longer_agrees_but_its_no_stays(federation: Federation) -> None:
    """The count is of active hospitals; a veto is not lifted by throwing its hospital out."""
    model = federation.state.model_sha256
    body = {"model_sha256": model, "reason": "legal"}
    federation.must("release.refused", body, f"{SOUTH}/institution")
    federation.leave(SOUTH).leave(EAST)

    told = standing(federation.state, model, "weights")

    assert (told.agreed, told.refused, told.silent) == ([NORTH], [SOUTH], [])
    assert (told.vetoed, told.enough) == (True, False)
    assert refused(federation.release()) == "release.refused"
