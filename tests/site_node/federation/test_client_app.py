"""What a hospital's ClientApp answers: a signed note or nothing, and never a text of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict

from compliance.records.decisions import DecisionDenied
from compliance.records.envelope import parse_event
from compliance.records.order import Order
from compliance.records.wire import ARRAYS, ORDER, VECTOR, WORDS
from compliance.signing.note import parse
from site_node.federation import client_app, in_time
from site_node.federation.client_app import Reply, answer, wait_for_permit
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.federation.hostile import done

CANARY = "MUELLER-HANS-19440203"


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Two hospitals that signed a study whose first round is open."""
    house = House(tmp_path / CANARY, capsys)
    house.launch(max_rounds=3, round_seconds=600)
    house.hub.rounds.open(house.hub.rounds.begin(house.study))
    return house


@pytest.fixture
def site(house: House) -> Rooms:
    """The first of them."""
    return house.sites["north.example"]


def order_of(house: House) -> Order:
    """The order that goes with the open round."""
    running = house.hub.ledger.state(house.study).running
    return house.hub.rounds.order(house.study, "train", running.index, running.deadline)


def message(house: House, order: Order | bytes, vector: bytes | None = None) -> RecordDict:
    """A message as the hub sends it, with the study's model unless another is given."""
    values = house.hub.rounds.model(house.study) if vector is None else vector
    told = order if isinstance(order, bytes) else order.encode()
    array = Array(np.frombuffer(values, dtype="<f4"))
    return RecordDict({ARRAYS: ArrayRecord({VECTOR: array}), WORDS: ConfigRecord({ORDER: told})})


def said(reply: Reply) -> DecisionDenied:
    """The one refusal of a reply."""
    (note,) = reply.notes
    body = parse_event(parse(note).text).body
    assert isinstance(body, DecisionDenied)
    assert reply.delta is None
    return body


def test_a_failure_says_its_rule_and_no_word_more(house: House, site: Rooms) -> None:
    """The dataset's folder is gone: path and message stay in the hospital's journal."""
    reply = answer(site, message(house, order_of(house)), "train")

    assert said(reply).rule == "site.failed"
    assert CANARY.encode() not in b"".join(reply.notes)
    assert CANARY in str(site.journal.lines(limit=5))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda house: RecordDict({}),
        lambda house: message(house, b"no order"),
        lambda house: message(house, order_of(house).encode() + b"\n"),
        lambda house: RecordDict(
            {**message(house, order_of(house)), "more": ConfigRecord({"x": 1})}
        ),
        lambda house: RecordDict({WORDS: ConfigRecord({ORDER: order_of(house).encode()})}),
    ],
)
def test_what_is_no_order_is_answered_by_nothing(
    house: House, site: Rooms, break_it: Callable[[House], RecordDict]
) -> None:
    """No note, no exception: there is nothing to sign about bytes that say nothing."""
    reply = answer(site, break_it(house), "train")

    assert reply == Reply(None, [])
    assert site.journal.lines(limit=1)[0]["kind"] == "order.not.done"


def test_another_model_than_the_log_names_is_refused(house: House, site: Rooms) -> None:
    """The hub sends zeros in place of the agreed start model."""
    zeros = bytes(len(house.hub.rounds.model(house.study)))

    assert said(answer(site, message(house, order_of(house), zeros), "train")).rule == "round.model"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"round": 2}, "round.sequence"),
        ({"entry": 0}, "mirror.behind"),
        ({"leaf": "sha256:" + "ab" * 32}, "mirror.behind"),
        ({"model_sha256": "sha256:" + "cd" * 32}, "round.model"),
        ({"layout_sha256": "sha256:" + "ef" * 32}, "round.model"),
        ({"deadline": "2026-11-22T08:00:00Z"}, "round.deadline"),
    ],
)
def test_an_order_that_does_not_match_the_log_is_refused(
    house: House, site: Rooms, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], rule: str
) -> None:
    """An order is no authority: each of its words is compared with the own mirror."""
    monkeypatch.setattr(client_app, "MIRROR_SECONDS", 0.0)
    site.witness.step(house.study)
    order = order_of(house).model_copy(update=change)
    site.catalogue.asked.clear()  # type: ignore[attr-defined]

    assert said(answer(site, message(house, order), "train")).rule == rule
    assert site.catalogue.asked == []  # type: ignore[attr-defined]


def test_a_study_that_was_not_signed_here_touches_no_data(house: House, site: Rooms) -> None:
    """The log is true and complete, but this hospital's own memory holds no yes."""
    from site_node.store import studies

    site.witness.step(house.study)
    with site.store.begin() as session:
        (row,) = studies.signed_in(session, house.study)
        session.delete(row)
    site.catalogue.asked.clear()  # type: ignore[attr-defined]

    assert said(answer(site, message(house, order_of(house)), "train")).rule == "site.unsigned"
    assert site.catalogue.asked == []  # type: ignore[attr-defined]


def test_the_mirror_catches_up_with_an_order_that_came_first(house: House, site: Rooms) -> None:
    """The agent looks every two seconds; whoever is ordered looks at once."""
    before = site.mirror.head(house.study)
    assert before is not None

    permit = wait_for_permit(site, order_of(house), pause=lambda _: None, seconds=lambda: 0.0)

    after = site.mirror.head(house.study)
    assert after is not None
    assert after.size > before.size
    assert permit.study == house.study


def test_an_order_of_an_unknown_log_is_refused_in_time(
    house: House, site: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute of looking, then no: a hub cannot keep a hospital waiting."""
    monkeypatch.setattr(client_app, "MIRROR_SECONDS", 0.0)
    order = order_of(house).model_copy(update={"log": "sha256:" + "12" * 32})

    assert said(answer(site, message(house, order), "train")).rule == "mirror.behind"


def test_an_evaluation_is_not_taken_for_a_training_order(house: House, site: Rooms) -> None:
    """Flower's own message type and the order's kind must say the same."""
    assert answer(site, message(house, order_of(house)), "evaluate") == Reply(None, [])


def test_what_is_on_record_is_answered_again_byte_for_byte_or_not_at_all(
    house: House, site: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub lost the values: they go again. The site lost its answer: nothing new is trained."""
    monkeypatch.setattr(in_time, "carry_out", lambda _, vector, *__: done(vector))
    first = answer(site, message(house, order_of(house)), "train")
    for note in first.notes:
        house.hub.ledger.append(house.study, note)
    house.time.forward(seconds=6)
    site.witness.step(house.study)
    monkeypatch.setattr(in_time, "carry_out", None)

    assert answer(site, message(house, order_of(house)), "train") == first

    for path in (site.settings.home / "replies").glob("*.f32"):
        path.unlink()
    assert said(answer(site, message(house, order_of(house)), "train")).rule == "update.twice"
