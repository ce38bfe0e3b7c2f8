"""The card of a model: made from the log alone, and refuted where it says something else."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from compliance.canonical import encode, sha256_id
from compliance.errors import Malformed, NotProven
from compliance.report.card import card, check_card
from compliance.report.narrative import MARKER, narrative_of
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
    fields = {row["field"]: row["value"] for row in plain["numbers"]}
    assert fields == {"value": "0.87", "low": "0.82", "high": "0.91", "n": 200, "positives": 60}
    (entry,) = {row["entry"] for row in plain["numbers"]}
    assert b'"value":"0.87"' in federation.entries[entry]
    assert (
        plain["numbers"][0]["name"]
        == f"auroc value, {EAST} cxr validation, round 2 before_training"
    )


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


def changed(federation: Federation, change: Callable[[dict[str, Any]], Any]) -> str:
    """What is said about a card on record that was changed like this."""
    plain = json.loads(made(federation))
    change(plain)
    false = encode(plain)
    with pytest.raises(NotProven) as found:
        check_card(released(federation, false), false, federation.entries)
    return str(found.value)


def test_a_number_that_differs_from_the_log_is_named_with_its_entry(
    federation: Federation,
) -> None:
    """An auditor is told which number, what the card says, what the log says, and where."""
    entry = json.loads(made(federation))["numbers"][0]["entry"]

    told = changed(federation, lambda card: card["numbers"][0].update(value="0.97"))

    assert f"0.87 in entry {entry}, not 0.97" in told


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda card: card["numbers"].append(card["numbers"][0]), "more numbers"),
        (lambda card: card["numbers"].pop(), "in entry"),
        (lambda card: card["numbers"][0].update(entry=0), "in entry"),
        (lambda card: card["numbers"].insert(0, "0.99"), "in entry"),
        (lambda card: card.update(numbers=None), "in entry"),
        (lambda card: card.update(title="Better"), "title"),
        (lambda card: card.update(agreed=[]), "agreed"),
        (lambda card: card.update(accuracy="0.99"), "accuracy"),
        (lambda card: card.update(size=card["size"] + 999), "size"),
        (lambda card: card.update(size=-1), "no card of ours"),
        (lambda card: card["narrative"].update(risks="x" * 4001), "no card of ours"),
        (lambda card: card["narrative"].update(praise="the best"), "no card of ours"),
        (lambda card: card.pop("narrative"), "no card of ours"),
    ],
)
def test_a_card_cannot_embellish(
    federation: Federation, change: Callable[[dict[str, Any]], Any], word: str
) -> None:
    """A number more, one less, another source, a new claim: each is refuted, and what is named."""
    assert word in changed(federation, change)


def test_what_the_makers_wrote_goes_along_and_does_not_touch_a_number(
    federation: Federation,
) -> None:
    """The narrative is theirs, the numbers are the log's; both are checked by the one hash."""
    told = narrative_of({"intended_use": "A second look at chest radiographs.", "risks": None})
    model = federation.state.model_sha256
    data = card(federation.state, model, "weights", told)

    check_card(released(federation, data), data, federation.entries)

    plain = json.loads(data)
    assert plain["narrative"]["intended_use"] == "A second look at chest radiographs."
    assert plain["numbers"] == json.loads(made(federation))["numbers"]
    assert (told.say("risks"), told.say("users")) == (MARKER, MARKER)


def test_a_hidden_number_is_cited_as_hidden(federation: Federation) -> None:
    """A hospital that measured too few patients is not left out: its number stands as null."""
    hidden = dict.fromkeys(("value", "low", "high", "n", "positives"))
    federation.release()
    told = make.metric(
        NORTH,
        round=None,
        phase="post_market",
        model_sha256=federation.state.model_sha256,
        values={"auroc": hidden},
    )
    before = json.loads(made(federation))["numbers"]
    federation.must("metric.reported", told, f"{NORTH}/node")

    (new,) = [row for row in json.loads(made(federation))["numbers"] if row not in before]

    assert (new["field"], new["value"]) == ("value", None)


@pytest.mark.parametrize("text", ["", "two\nlines", "x" * 4001, 7, "e\u0301"])
def test_a_narrative_in_another_form_is_refused(text: Any) -> None:
    """A text has 1 to 4000 characters on one line, in one Unicode form."""
    with pytest.raises(Malformed, match="risks"):
        narrative_of({"risks": text})
    with pytest.raises(Malformed, match="praise"):
        narrative_of({"praise": "the best"})


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
