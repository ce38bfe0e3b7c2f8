"""Release: below the floor it stays; what leaves is signed, journalled, repeated byte for byte."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.decisions import DecisionDenied
from compliance.records.envelope import parse_event
from compliance.records.order import Order
from compliance.records.rounds import MetricReported, UpdateSubmitted
from compliance.signing.note import parse
from site_node.gate.measures import MetricClaim, check_delta, decimal_text
from site_node.gate.permits import Permit
from site_node.store import outbox
from site_node.wiring import Rooms
from tests.site_node.gate.world import LAYOUT, STUDY, World

DELTA = np.full(LAYOUT.count, 0.001, dtype="<f4").tobytes()


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site whose study is launched and mirrored."""
    made = world.joined()
    world.launched(made)
    return made


@pytest.fixture
def asked(world: World, rooms: Rooms) -> tuple[Permit, Order]:
    """A permitted training order."""
    order = world.hub.open_round()
    rooms.witness.step(STUDY)
    return rooms.permits.check(order, world.time.now), order


def claim(n: int = 40, positives: int | None = 10, **more: Any) -> MetricClaim:
    """One measured split."""
    value = {"value": Decimal("0.8712"), "low": Decimal("0.82"), "high": Decimal("0.91")}
    values = {"auroc": {**value, "n": n, "positives": positives}, **more}
    return MetricClaim("before_training", "test", values)


def admit(rooms: Rooms, asked: tuple[Permit, Order], **changes: Any) -> list[bytes]:
    """Let an ordinary answer out, with changes."""
    told = {"delta": DELTA, "n": 40, "steps": 10, "metrics": [claim()], **changes}
    return rooms.release.admit(*asked, **told)


def kept(rooms: Rooms) -> list[Any]:
    """What the outbox holds."""
    with rooms.store() as session:
        return outbox.of_way(session, outbox.RELAY)


def test_an_update_leaves_with_the_hash_of_its_bytes(
    rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Metrics first, then the update; each note signed by the node key and in the outbox."""
    metric, update = (parse_event(parse(note).text).body for note in admit(rooms, asked))

    assert isinstance(metric, MetricReported)
    assert isinstance(update, UpdateSubmitted)
    assert (update.update_sha256, update.bytes, update.n) == (sha256_id(DELTA), len(DELTA), 40)
    assert metric.values["auroc"].value == "0.871"
    assert len(kept(rooms)) == 2
    assert rooms.journal.lines()[-1]["data"]["sha256"] == sha256_id(DELTA)


def test_the_log_accepts_what_the_site_let_out(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """The hub's fold says yes to every note, and the witness finds them in its outbox."""
    for note in admit(rooms, asked):
        world.hub.log.take(note)

    assert rooms.witness.step(STUDY).outcome == "cosigned"
    assert [row.index for row in kept(rooms)] == [2, 3]


@pytest.mark.parametrize("n", [0, 19, 41, 10**12, -450])
def test_an_update_from_too_few_or_impossible_cases_stays_in_the_hospital(
    rooms: Rooms, asked: tuple[Permit, Order], n: int
) -> None:
    """Below the floor, or more cases than there are: nothing leaves, the refusal is on record."""
    with pytest.raises(Refused) as caught:
        admit(rooms, asked, n=n)

    assert caught.value.rule == "update.min_examples"
    assert kept(rooms) == []
    assert rooms.journal.lines()[-1]["kind"] == "kept.back"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_update_that_is_no_number_stays_in_the_hospital(
    rooms: Rooms, asked: tuple[Permit, Order], bad: float
) -> None:
    """One NaN would poison every hospital's model."""
    values = np.frombuffer(DELTA, dtype="<f4").copy()
    values[-1] = bad

    with pytest.raises(Refused) as caught:
        admit(rooms, asked, delta=values.tobytes())

    assert caught.value.rule == "update.finite"
    assert kept(rooms) == []


def test_an_update_of_another_length_stays_in_the_hospital(
    rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Shape is 4 bytes a value, no more, no less."""
    with pytest.raises(Refused, match=r"update\.shape"):
        admit(rooms, asked, delta=DELTA[:-4])


def test_an_update_above_the_agreed_norm_stays_in_the_hospital() -> None:
    """The norm is that of the bytes which would travel."""
    data = np.array([3.0, 4.0], dtype="<f4").tobytes()

    assert check_delta(data, 2, Decimal(5)) == 5.0
    with pytest.raises(Refused, match=r"update\.norm"):
        check_delta(data, 2, Decimal("4.99"))


def test_a_count_below_the_floor_takes_its_values_with_it(
    rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Four cases tell about four people: the metric says nothing, not even their number."""
    metric = parse_event(parse(admit(rooms, asked, metrics=[claim(n=4)])[0]).text).body

    assert isinstance(metric, MetricReported)
    assert metric.values["auroc"].plain() == dict.fromkeys(
        ("value", "low", "high", "n", "positives")
    )


@pytest.mark.parametrize("positives", [4, 36, None])
def test_few_positives_or_few_negatives_are_not_told(
    rooms: Rooms, asked: tuple[Permit, Order], positives: int | None
) -> None:
    """Neither side of a split is shown below the floor."""
    metric = parse_event(parse(admit(rooms, asked, metrics=[claim(positives=positives)])[0]).text)

    assert isinstance(metric.body, MetricReported)
    assert metric.body.values["auroc"].positives is None
    assert metric.body.values["auroc"].n == 40


def test_a_metric_that_nobody_agreed_on_does_not_leave(
    rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Only names of the charter travel."""
    more = claim(secret_share={"value": Decimal(1), "n": 40, "positives": 20})
    metric = parse_event(parse(admit(rooms, asked, metrics=[more])[0]).text).body

    assert isinstance(metric, MetricReported)
    assert set(metric.values) == {"auroc"}


def test_an_evaluation_carries_no_vector(rooms: Rooms, asked: tuple[Permit, Order]) -> None:
    """Evaluate means numbers only; train means a vector."""
    permit, order = asked
    evaluation = order.model_copy(update={"kind": "evaluate"})

    with pytest.raises(Refused):
        rooms.release.admit(permit, evaluation, delta=DELTA, n=40, steps=1, metrics=[])
    with pytest.raises(Refused):
        rooms.release.admit(permit, order, delta=None, n=40, steps=1, metrics=[])
    notes = rooms.release.admit(permit, evaluation, delta=None, n=0, steps=0, metrics=[claim()])
    assert len(notes) == 1


def test_the_same_order_gets_the_same_bytes(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """A repeated order costs no training; also after a restart of the site."""
    assert rooms.release.cached(*asked) is None
    notes = admit(rooms, asked)

    again = world.rooms().release.cached(*asked)

    assert again is not None
    assert (again.delta, again.notes) == (DELTA, notes)


def test_a_later_round_on_the_same_model_gets_the_same_vector_and_fresh_notes(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """After an aborted round nothing is trained twice."""
    first = admit(rooms, asked)
    world.time.forward(seconds=5)
    world.hub.say("round.aborted", {"round": 1, "reason": "operator", "on_behalf": None})
    order = world.hub.open_round(2)
    rooms.witness.step(STUDY)
    permit = rooms.permits.check(order, world.time.now)

    reply = rooms.release.cached(permit, order)

    assert reply is not None
    assert reply.delta == DELTA
    assert reply.notes != first
    assert parse_event(parse(reply.notes[-1]).text).body.plain()["round"] == 2


def test_a_damaged_vector_on_disk_is_not_sent_again(
    rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """The cache is read through its hash."""
    admit(rooms, asked)
    path = next((rooms.settings.home / "replies").glob("*.f32"))
    path.write_bytes(b"\0" * len(DELTA))

    assert rooms.release.cached(*asked) is None


def test_an_update_of_a_study_that_was_stopped_meanwhile_stays_in_the_hospital(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Training takes minutes: the door asks again when the answer is ready."""
    world.time.forward(seconds=30)
    world.hub.say("study.stopped", {"reason": "privacy", "on_behalf": None})
    rooms.witness.step(STUDY)

    with pytest.raises(Refused) as caught:
        admit(rooms, asked)

    assert caught.value.rule == "study.stopped"
    assert kept(rooms) == []


def test_an_update_that_took_too_long_stays_in_the_hospital(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """After the deadline nothing is sent."""
    world.time.forward(seconds=601)

    with pytest.raises(Refused, match=r"round\.deadline"):
        admit(rooms, asked)


def test_a_full_disk_keeps_the_update_here_and_says_nothing(
    rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Without a durable record nothing leaves: no note, no half transaction."""
    folder = rooms.settings.home / "replies"
    folder.write_text("a file where the folder should be")

    with pytest.raises(OSError, match="replies"):
        admit(rooms, asked)

    assert kept(rooms) == []
    assert rooms.journal.lines()[-1]["kind"] == "permitted"


def test_a_refusal_is_a_rule_id_and_nothing_else(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """What happened in words stays in the journal."""
    note = rooms.release.refuse(asked[1], "disk.full")
    body = parse_event(parse(note).text).body

    assert isinstance(body, DecisionDenied)
    assert (body.rule, body.action, body.round) == ("site.failed", "update.submitted", 1)
    assert body.who == "hub.example/events"
    assert rooms.journal.lines()[-1]["rule"] == "disk.full"
    assert world.hub.log.take(note) == 2


def test_a_storm_is_counted_not_stored(
    world: World, rooms: Rooms, asked: tuple[Permit, Order]
) -> None:
    """Twenty refusals an hour are logged, the rest is a number in the next one."""
    for _ in range(25):
        world.time.forward(seconds=1)
        rooms.release.refuse(asked[1], "site.failed")
    assert len(kept(rooms)) == 20

    world.time.forward(hours=2)
    last = parse_event(parse(rooms.release.refuse(asked[1], "site.failed")).text).body

    assert isinstance(last, DecisionDenied)
    assert last.suppressed == 5


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0.8715"), "0.872"),
        (Decimal("-0.0001"), "0"),
        (Decimal(100), "100"),
        (Decimal("NaN"), None),
        (Decimal("1e20"), None),
        (None, None),
        (1.5, "1.5"),
    ],
)
def test_a_number_is_written_short_or_not_at_all(value: Any, text: str | None) -> None:
    """Three places, no minus zero, no exponent, no NaN."""
    assert decimal_text(value) == text
