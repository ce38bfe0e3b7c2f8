"""Honest things break in a round: files are lost, disks are full, orders vanish on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from compliance.records.order import Order
from compliance.records.wire import vector_file
from hub.federation.replies import Reply
from hub.federation.server_app import working_on
from hub.federation.spool import Spool
from site_node.gate.doctor import examine
from tests.house import House
from tests.hub.federation.attacks import Turn
from tests.hub.federation.post import Post, PowerCut, honest, silent
from tests.hub.federation.test_director import _sign_again, kinds, state_of

THREE = ("east.example", "north.example", "south.example")
SOUTH = "south.example"


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Three hospitals."""
    return House(tmp_path, capsys, THREE)


def post_of(house: House, **terms: Any) -> Post:
    """A launched study; two updates make a model."""
    house.launch(**{"max_rounds": 2, "round_seconds": 600, "min_sites": 2} | terms)
    return Post(house)


def forged(post: Post, site: str, order: Order) -> Reply:
    """Values that were never signed."""
    reply = honest(post, site, order)
    assert isinstance(reply, Reply)
    if order.kind != "train":
        return reply
    other = bytes(reply.array or b"")[:-4] + b"\0\0\0\0"
    return Reply(site, other, reply.notes)


def test_whoever_offends_three_times_in_a_row_rests_and_is_told(house: House) -> None:
    """Not asked for three rounds, asked again in the seventh; its doctor and the hub say so."""
    post = post_of(house, max_rounds=7)
    post.habits[SOUTH] = forged
    told: list[Any] = []

    def looking(post: Post, site: str, order: Order) -> Any:
        if order.round == 5 and not told:
            rooms = house.sites[SOUTH]
            rooms.witness.step(house.study)
            told.append(rooms.overview.running()[0]["rest"])
            told.append(house.hub.studies.live(house.study)["resting"])
            told.append([row.code for row in examine(rooms.patient) if not row.well])
        return honest(post, site, order)

    post.habits["east.example"] = looking
    post.direct()

    rounds = state_of(post).rounds_closed
    assert [row.excluded.get(SOUTH) for row in rounds] == ["bad_hash"] * 3 + [None] * 3 + [
        "bad_hash"
    ]
    assert {name for name, _, number in post.sendings if number == 5} == set(THREE) - {SOUTH}
    rest, listed, codes = told
    assert rest == {"until": 6, "reasons": ["bad_hash"] * 3}
    assert [(row["site"], row["since"], row["until"]) for row in listed] == [(SOUTH, 4, 6)]
    assert "study_resting" in codes


def test_an_update_whose_file_the_hub_lost_is_asked_for_again(house: House) -> None:
    """It is on record and its values are gone: the same bytes come again, and they count."""
    post = post_of(house)
    post.cut_after = 2
    with pytest.raises(PowerCut):
        post.direct()
    house.hub.ledger._states.clear()
    (lost, *_) = sorted(Spool(house.hub.rounds.folder(house.study)).path(1, "x").parent.glob("*"))
    lost.unlink()
    for rooms in house.sites.values():  # their mirrors know what is on record
        house.time.forward(seconds=6)
        rooms.witness.step(house.study)
    on_record = dict(state_of(post).running.submitted)

    post.direct()

    first = state_of(post).rounds_closed[0]
    assert (first.excluded, first.missing) == ({}, {})
    assert {site: first.used[site] for site in on_record} == {
        site: said.update_sha256 for site, said in on_record.items()
    }


def test_a_hospital_whose_lost_update_does_not_come_again_is_late_and_no_offender(
    house: House,
) -> None:
    """Its word stands in the log, so it is not missing; the round is closed without it."""
    post = post_of(house)
    post.cut_after = 3
    with pytest.raises(PowerCut):
        post.direct()
    house.hub.ledger._states.clear()
    Spool(house.hub.rounds.folder(house.study)).path(1, SOUTH).unlink()
    post.habits[SOUTH] = silent

    post.direct()

    assert state_of(post).rounds_closed[0].excluded == {SOUTH: "late"}
    assert state_of(post).closed == "completed"


def test_a_full_disk_at_the_hub_costs_time_and_nobodys_update(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is repeated half a minute later; the hub's own log names the cause."""
    post = post_of(house, max_rounds=1)
    keep, failures = Spool.keep, [0]

    def full(spool: Spool, number: int, site: str, data: Any) -> Path:
        if site == SOUTH and failures[0] < 5:
            failures[0] += 1
            raise OSError(28, "No space left on device")
        return keep(spool, number, site, data)

    monkeypatch.setattr(Spool, "keep", full)
    begin = house.time.now

    post.direct()
    assert sorted(state_of(post).rounds_closed[0].used) == list(THREE)
    assert [line for line in post.said if "store.full" in line]
    assert (house.time.now - begin).total_seconds() > 5 * 30


@pytest.mark.parametrize(("names", "sendings"), [(False, 3), (True, 1)])
def test_an_order_that_a_hospital_does_not_name_is_sent_again(
    house: House, names: bool, sendings: int
) -> None:
    """Lost on the way to a node that is there: it goes again each minute, three times at most."""
    post = post_of(house, max_rounds=1)

    def lost(post: Post, site: str, order: Order) -> None:
        post.working = {SOUTH: order.round} if names else {}

    post.habits[SOUTH] = lost
    post.direct()

    assert [name for name, kind, _ in post.sendings if kind == "train"].count(SOUTH) == sendings
    assert state_of(post).rounds_closed[0].missing == {SOUTH: "no_answer"}


def test_three_aborted_rounds_pause_a_study_whoever_counted_them(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that is started anew after each round still knows how many went wrong."""
    post = post_of(house)
    post.habits = dict.fromkeys(THREE, silent)  # type: ignore[assignment]

    rounds = house.hub.rounds
    abort = rounds.abort

    def cut(*words: Any) -> None:
        abort(*words)
        raise PowerCut

    for _ in range(2):
        monkeypatch.setattr(rounds, "abort", cut)
        with pytest.raises(PowerCut):
            post.direct()
    monkeypatch.setattr(rounds, "abort", abort)
    post.direct()

    assert kinds(post) == ["round.opened", "round.aborted"] * 3 + ["study.stopped"]


def test_a_number_that_did_not_count_is_not_what_the_next_one_is_compared_with(
    house: House,
) -> None:
    """A million cases in the first round, a hub started anew, then the truth: it counts."""
    post = post_of(house)

    def greedy(post: Post, site: str, order: Order) -> Reply:
        reply = honest(post, site, order)
        assert isinstance(reply, Reply)
        if order.round > 1:
            post.habits[SOUTH] = plain
            raise PowerCut
        return _sign_again(post, site, reply, post.delta(site, order), n=1_000_000)

    def plain(post: Post, site: str, order: Order) -> Any:
        if order.kind != "train":
            return honest(post, site, order)
        turn = Turn(post, site, order)
        data = turn.delta.tobytes()
        return Reply(site, vector_file(data), [turn.note(data)])

    post.habits[SOUTH] = greedy
    with pytest.raises(PowerCut):
        post.direct()
    house.hub.ledger._states.clear()

    post.direct()

    first, second = state_of(post).rounds_closed
    assert first.excluded == {SOUTH: "bad_count"}
    assert SOUTH in second.used


def test_a_serverapp_that_was_killed_is_missed_at_once(house: House) -> None:
    """Its lease would be silent for a minute; the lock of its process is open at once."""
    post_of(house)
    runs = house.hub.runs
    with runs.at_work(house.study):
        runs.take_lease(house.study)
        assert runs.needed() == []

    assert runs.needed() == [house.study]


def test_runs_that_do_not_begin_are_started_ever_more_rarely(house: House) -> None:
    """On a machine too slow for one, a new one every half minute piled up without end."""
    post_of(house)
    runs, started = house.hub.runs, []
    for second in range(0, 1200, 5):
        if runs.needed():
            runs.started(house.study, f"run {second}")
            started.append(second)
        house.time.forward(seconds=5)

    assert started == [0, 30, 90, 210, 450, 930]
    with runs.at_work(house.study):
        runs.take_lease(house.study)
        assert runs.needed() == []
    assert runs.needed() == [house.study]
    runs.started(house.study, "after one that worked")
    house.time.forward(seconds=30)
    assert runs.needed() == [house.study]


def test_a_run_that_begins_too_late_takes_nothing_from_the_one_after_it(house: House) -> None:
    """Dozens that began late took the lease from each other; a number may be noted a bit later."""
    post_of(house)
    runs, waited = house.hub.runs, list[float]()
    runs.started(house.study, "11")
    runs.started(house.study, "12")

    assert not runs.is_wanted(house.study, "11", waited.append)
    assert sum(waited) == 10
    assert runs.is_wanted(house.study, "12", waited.append)
    assert runs.is_wanted(house.study, "13", lambda _: runs.started(house.study, "13"))


def test_only_a_hospital_that_is_heard_has_an_order_in_hand() -> None:
    """Of this study, by a fresh sign of life; whatever else it says is passed over."""
    order = {"log": "sha256:a", "round": 4}
    rows = [
        {"name": "north.example", "health": {"state": "up", "order": order}},
        {"name": "south.example", "health": {"state": "silent", "order": order}},
        {"name": "east.example", "health": {"state": "up", "order": {"log": "b", "round": 4}}},
        {"name": "west.example", "health": {"state": "up", "order": order | {"round": "4"}}},
        {"name": "lake.example", "health": {"state": "up", "order": None}},
    ]

    assert working_on("sha256:a", rows) == {"north.example": 4}
