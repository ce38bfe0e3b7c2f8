"""Rounds under a real hub and real gates: who counts, who is missing, what a power cut leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.order import Order
from compliance.records.wire import vector_file
from compliance.rules.state import StudyState
from compliance.signing.note import parse, seal
from hub.federation.replies import Reply
from tests.house import House
from tests.hub.federation.post import Post, PowerCut, crashing, honest, silent
from tests.site_node.gate.world import LAYOUT

THREE = ("east.example", "north.example", "south.example")


@pytest.fixture
def post(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Post:
    """Three hospitals that signed a study of two rounds; two updates make a model."""
    house = House(tmp_path, capsys, THREE)
    house.launch(max_rounds=2, round_seconds=600, min_sites=2)
    return Post(house)


def state_of(post: Post) -> StudyState:
    """Where the study stands by the hub's log."""
    return post.house.hub.ledger.state(post.house.study)


def kinds(post: Post) -> list[str]:
    """Kinds of the hub's own statements about rounds, in order."""
    rooms = post.house.hub
    events = [parse(note).text for note in rooms.ledger.entries(post.house.study, 0)]
    return [
        kind for text in events for kind in [_kind(text)] if kind.startswith(("round", "study"))
    ]


def _kind(text: bytes) -> str:
    from compliance.records.envelope import parse_event

    return parse_event(text).type


def test_a_study_runs_to_its_agreed_end(post: Post) -> None:
    """Every hospital is used in every round, measures the last model, and the study is closed."""
    post.direct()

    state = state_of(post)
    assert state.closed == "completed"
    assert [sorted(row.used) for row in state.rounds_closed] == [list(THREE)] * 2
    assert [row.missing for row in state.rounds_closed] == [{}, {}]
    assert sum(state.rounds_closed[0].weights.values()) == 1
    assert [kind for _, kind, _ in post.sendings].count("evaluate") == 3
    final = [body for _, _, body in state.metrics if body.model_sha256 == state.model_sha256]
    assert len(final) == 3


def test_a_silent_hospital_is_missing_at_the_deadline(post: Post) -> None:
    """Nothing waits for ever, and the record says who did not answer."""
    post.habits["north.example"] = silent
    begin = post.house.time.now

    post.direct()

    first = state_of(post).rounds_closed[0]
    assert first.missing == {"north.example": "no_answer"}
    assert sorted(first.used) == ["east.example", "south.example"]
    assert (post.house.time.now - begin).total_seconds() < 3 * 660


def test_a_hospital_that_is_offline_costs_the_grace_and_not_the_deadline(post: Post) -> None:
    """It belongs to the round, it is named, and the others go on after a tenth of the time."""
    post.away.add("south.example")
    begin = post.house.time.now

    post.direct()

    state = state_of(post)
    assert [row.missing for row in state.rounds_closed] == [{"south.example": "offline"}] * 2
    assert (post.house.time.now - begin).total_seconds() < 300


def test_a_hospital_that_comes_back_takes_part_without_help(post: Post) -> None:
    """Killed after it took the order: the order is sent again when it is there again."""

    def killed_once(post: Post, site: str, order: Order) -> None:
        post.away.add(site)
        post.habits[site] = honest
        post.habits["east.example"] = back_after

    def back_after(post: Post, site: str, order: Order) -> Reply | None:
        post.away.discard("north.example")
        post.habits[site] = honest
        return honest(post, site, order)  # type: ignore[return-value]

    post.habits["north.example"] = killed_once
    post.habits["east.example"] = silent

    def slow(post: Post, site: str, order: Order) -> Reply | None:
        return honest(post, site, order)  # type: ignore[return-value]

    post.habits["south.example"] = slow

    original = post.online

    def online() -> set[str]:
        found = original()
        post.away.discard("north.example")
        return found

    post.online = online  # type: ignore[method-assign]
    post.direct()

    assert "north.example" in state_of(post).rounds_closed[-1].used
    assert [name for name, _, number in post.sendings if number == 1].count("north.example") == 2


def test_with_too_few_hospitals_the_round_is_aborted_at_its_deadline(post: Post) -> None:
    """Aborted and recorded, never hung; three in a row stop the study until people look."""
    post.habits |= {"north.example": silent, "south.example": silent}

    post.direct()

    assert kinds(post) == ["round.opened", "round.aborted"] * 3 + ["study.stopped"]
    assert state_of(post).stopped is not None
    assert state_of(post).rounds_closed == []


def test_a_round_in_which_all_refuse_ends_at_once(post: Post) -> None:
    """Nobody can answer any more: waiting for the deadline would help nobody."""
    for rooms in post.house.sites.values():
        rooms.catalogue.train = 1  # type: ignore[attr-defined]
    begin = post.house.time.now

    post.direct()

    denied = [denial.body.rule for denial in state_of(post).denials]
    assert set(denied) == {"update.min_examples"}
    assert kinds(post)[:2] == ["round.opened", "round.aborted"]
    assert (post.house.time.now - begin).total_seconds() < 120


def test_no_round_is_opened_without_enough_hospitals(post: Post) -> None:
    """Fewer than agreed are there: the hub waits and opens nothing."""
    post.away |= {"north.example", "south.example"}
    looks = 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        post.house.time.forward(seconds=seconds)
        if looks == 30:
            raise PowerCut

    stage = post.stage()
    from dataclasses import replace

    from hub.federation.director import Director

    lease = post.house.hub.rounds.begin(post.house.study)
    with pytest.raises(PowerCut):
        Director(lease, replace(stage, wait=wait)).run()

    assert kinds(post) == []


def cheat(kind: str) -> object:
    """A hospital whose signed statement and bytes do not belong together, or are no model."""

    def habit(post: Post, site: str, order: Order) -> Reply:
        reply = honest(post, site, order)
        assert isinstance(reply, Reply)
        if order.kind != "train":
            return reply
        assert reply.array is not None
        size = LAYOUT.count * 4
        other = np.full(LAYOUT.count, 0.5, dtype="<f4").tobytes()
        arrays = {
            "bad_hash": vector_file(other),
            "wrong_shape": vector_file(reply.array[-size:-4]),
            "float64": vector_file(np.zeros(LAYOUT.count // 2).tobytes()),
            "nothing": None,
        }
        return Reply(site, arrays[kind], reply.notes)

    return habit


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("bad_hash", "bad_hash"),
        ("wrong_shape", "wrong_shape"),
        ("float64", "wrong_shape"),
        ("nothing", "wrong_shape"),
    ],
)
def test_an_update_that_is_not_what_was_signed_is_left_out(
    post: Post, kind: str, reason: str
) -> None:
    """It neither stops the round nor moves the model, and the reason is on record."""
    post.habits["north.example"] = cheat(kind)  # type: ignore[assignment]

    post.direct()

    first = state_of(post).rounds_closed[0]
    assert first.excluded == {"north.example": reason}
    assert sorted(first.used) == ["east.example", "south.example"]
    assert state_of(post).closed == "completed"


def test_one_value_that_is_no_number_is_left_out(post: Post) -> None:
    """A hospital whose own gate was bypassed: one NaN among 72,000 values."""

    def poisoned(post: Post, site: str, order: Order) -> Reply:
        reply = honest(post, site, order)
        assert isinstance(reply, Reply)
        if order.kind != "train":
            return reply
        values = np.frombuffer(post.delta(site, order), dtype="<f4").copy()
        values[70_000] = np.nan
        return _sign_again(post, site, reply, values.tobytes())

    post.habits["south.example"] = poisoned

    post.direct()

    assert state_of(post).rounds_closed[0].excluded == {"south.example": "not_finite"}


def test_an_update_a_hundred_times_the_others_is_left_out(post: Post) -> None:
    """Five times the median is the bound; a boosted update does not steer the model."""

    def boosted(post: Post, site: str, order: Order) -> Reply:
        reply = honest(post, site, order)
        assert isinstance(reply, Reply)
        if order.kind != "train":
            return reply
        values = np.frombuffer(post.delta(site, order), dtype="<f4") * np.float32(100)
        return _sign_again(post, site, reply, values.tobytes())

    post.habits["south.example"] = boosted

    post.direct()

    assert state_of(post).rounds_closed[0].excluded == {"south.example": "norm_bound"}


def test_more_cases_than_were_registered_do_not_count(post: Post) -> None:
    """Whoever registered fewer than a hundred cases does not weigh in with a million."""

    def greedy(post: Post, site: str, order: Order) -> Reply:
        reply = honest(post, site, order)
        assert isinstance(reply, Reply)
        if order.kind != "train":
            return reply
        return _sign_again(post, site, reply, post.delta(site, order), n=1_000_000)

    post.habits["south.example"] = greedy

    post.direct()

    assert state_of(post).rounds_closed[0].excluded == {"south.example": "bad_count"}


def test_a_statement_in_another_hospitals_name_is_refused(post: Post) -> None:
    """South relays north's own notes as if they were its answer: nothing of it counts."""

    def thief(post: Post, site: str, order: Order) -> Reply:
        stolen = honest(post, "north.example", order)
        assert isinstance(stolen, Reply)
        return Reply(site, stolen.array, stolen.notes)

    post.habits["south.example"] = thief

    post.direct()

    state = state_of(post)
    assert state.rounds_closed[0].missing == {"south.example": "failed"}
    assert ("south.example/node", "event.form") in {
        (denial.body.who, denial.body.rule) for denial in state.denials
    }


def test_a_crashing_hospital_gets_three_tries_and_no_more(post: Post) -> None:
    """A program that ends without an answer is asked again, then named as failed."""
    post.habits["north.example"] = crashing

    post.direct()

    assert state_of(post).rounds_closed[0].missing == {"north.example": "failed"}
    first = [name for name, kind, number in post.sendings if (kind, number) == ("train", 1)]
    assert first.count("north.example") == 3


def test_a_hospital_that_withdraws_in_mid_round_is_out_at_once(post: Post) -> None:
    """Its update arrived before: it is on record as left out, and no later round names it."""

    def leaving(post: Post, site: str, order: Order) -> Reply:
        reply = honest(post, site, order)
        assert isinstance(reply, Reply)
        return reply

    def last(post: Post, site: str, order: Order) -> object:
        if order.round == 1 and order.kind == "train":
            post.house.sites["east.example"].steward.withdraw(post.house.study, "consent")
        return honest(post, site, order)

    post.habits |= {"east.example": leaving, "south.example": last}  # type: ignore[dict-item]

    post.direct()

    first, second = state_of(post).rounds_closed
    assert first.excluded == {"east.example": "withdrawn"}
    assert sorted(second.used) == ["north.example", "south.example"]
    assert "east.example" not in second.missing


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_power_cut_at_the_hub_changes_no_byte_of_the_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cut: int
) -> None:
    """The next director takes what came already, asks the rest, and reaches the same model."""
    models = []
    for name, after in (("calm", None), ("cut", cut)):
        house = House(tmp_path / name, capsys, THREE)
        house.launch(max_rounds=2, round_seconds=600, min_sites=2)
        post = Post(house, cut_after=after)
        if after is not None:
            with pytest.raises(PowerCut):
                post.direct()
            house.hub.ledger._states.clear()
        post.direct()
        models.append([(row.used, row.model_sha256) for row in state_of(post).rounds_closed])
        assert state_of(post).closed == "completed"
        assert [row.number for row in state_of(post).rounds_closed] == [1, 2]
    assert models[0] == models[1]


def test_a_director_that_was_overtaken_writes_nothing_more(post: Post) -> None:
    """Two ServerApps of one study: the older one is refused at its next word."""
    old = post.house.hub.rounds.begin(post.house.study)
    post.house.hub.rounds.begin(post.house.study)

    with pytest.raises(Refused, match="newer ServerApp"):
        post.house.hub.rounds.open(old)

    assert kinds(post) == []


def test_a_round_taken_over_in_its_last_minute_is_ended(post: Post) -> None:
    """Little time is left: it closes with what counts or is aborted, and says why."""
    post.habits = dict.fromkeys(THREE, silent)  # type: ignore[assignment]
    post.cut_after = None
    lease = post.house.hub.rounds.begin(post.house.study)
    post.house.hub.rounds.open(lease)
    post.house.time.forward(seconds=570)
    post.habits = {}

    post.direct()

    assert kinds(post)[:2] == ["round.opened", "round.aborted"]
    assert state_of(post).closed == "completed"
    assert [row.number for row in state_of(post).rounds_closed] == [2, 3]


def _sign_again(post: Post, site: str, reply: Reply, delta: bytes, n: int | None = None) -> Reply:
    """What a hospital with a patched gate would send: other bytes, properly signed."""
    from compliance.records.envelope import parse_event, write_event

    rooms = post.house.sites[site]
    notes = []
    for note in reply.notes:
        event = parse_event(parse(note).text)
        body = event.body.plain()
        if event.type == "update.submitted":
            body |= {"update_sha256": sha256_id(delta)} | ({"n": n} if n else {})
        text = write_event(
            event.type,
            body,
            time=event.time,
            actor=event.actor,
            log=event.log,
            nonce=event.nonce,
        )
        notes.append(seal(text, rooms.keys.node))
    return Reply(site, vector_file(delta), notes)
