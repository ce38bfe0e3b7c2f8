"""Noise under masks: paid for as without, summed as without, and no single update is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict

from compliance.records.envelope import parse_event
from compliance.records.order import Order
from compliance.records.rounds import UpdateSubmitted
from compliance.records.wire import ORDER, WORDS, WORDS_32, vector_file, vector_values
from compliance.signing.note import parse
from hub.federation.replies import Reply
from site_node.federation import client_app, in_time
from site_node.training.work import Done
from site_node.wiring import Rooms
from tests.house import House
from tests.hub.federation.masked import MASKED, publish
from tests.hub.federation.post import Post
from tests.hub.federation.test_director import state_of
from tests.site_node.federation import test_noise as noise
from tests.site_node.federation.test_client_app import message

_data = noise._data
"""Every hospital trains on the same forty patients in memory."""

NAMES = ("east.example", "north.example", "south.example")


@pytest.fixture
def post(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Post:
    """A study with noise and masks that three hospitals have signed; their real ClientApp works."""
    house = House(tmp_path, capsys, NAMES)
    house.launch(
        recipe=noise.RECIPE, dp=noise.TERMS, max_rounds=2, round_seconds=600, min_sites=3,
        aggregator=MASKED,
    )  # fmt: skip
    publish(house)
    return Post(house, habits=dict.fromkeys(NAMES, answering))


def answering(post: Post, site: str, order: Order) -> Reply:
    """What the ClientApp of a hospital answers."""
    rooms, asked = (
        post.house.sites[site],
        RecordDict({WORDS: ConfigRecord({ORDER: order.encode()})}),
    )
    if order.kind == "unmask":
        post.house.time.forward(seconds=6)  # the mirror looks again after five
    else:
        asked = message(post.house, order, post.vectors[order.model_sha256])
    rooms.witness.step(post.house.study)
    told = client_app.answer(rooms, asked, order.kind)
    file = None if told.delta is None else vector_file(told.delta, told.type)
    return Reply(site, file, told.notes, dict(told.papers))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Order, Done]]:
    """What each training gave before anything was masked."""
    found: list[tuple[Order, Done]] = []
    work = in_time.work

    def noticed(rooms: Rooms, permit: Any, order: Order, *rest: Any) -> Done:
        done = work(rooms, permit, order, *rest)
        if order.kind == "train":
            found.append((order, done))
        return done

    monkeypatch.setattr(client_app, "work", noticed)
    return found


def updates(post: Post) -> list[UpdateSubmitted]:
    """Every update of the log."""
    notes = post.house.hub.ledger.entries(post.house.study, 0)
    bodies = [parse_event(parse(note).text).body for note in notes]
    return [body for body in bodies if isinstance(body, UpdateSubmitted)]


def test_noise_is_paid_for_and_summed_under_masks(
    post: Post, trained: list[tuple[Order, Done]]
) -> None:
    """Two rounds: the new model is the mean of the noisy updates, the log holds what they cost."""
    post.direct()

    state, hub = state_of(post), post.house.hub
    assert state.closed == "completed"
    assert [sorted(row.used) for row in state.rounds_closed] == [list(NAMES)] * 2
    assert [(body.masked, body.dp is not None) for body in updates(post)] == [(True, True)] * 6
    for site in NAMES:
        assert state.spent(site, "chest") == noise.priced(2 * noise.STEPS)
        assert noise.charges(post.house.sites[site]) == [
            ("spent", number, noise.STEPS) for number in (1, 2)
        ]
    last = [(order, done) for order, done in trained if order.round == 2]
    base = np.frombuffer(post.vectors[last[0][0].model_sha256], "<f4")
    weights = np.array([done.n for _, done in last], float)
    changes = np.stack([np.asarray(done.delta, float) for _, done in last])
    wanted = base + weights @ changes / weights.sum()
    assert np.abs(np.frombuffer(hub.rounds.model(post.house.study), "<f4") - wanted).max() < 1e-4
    assert np.abs(changes[0] - changes[1]).max() > 1e-3  # each hospital's noise is its own


def test_a_noisy_update_is_not_seen_before_its_sum(
    post: Post, trained: list[tuple[Order, Done]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leaves has nothing of the plain update, and neither home of the hub nor of the site."""
    sent: list[Reply] = []

    def noticed(post: Post, site: str, order: Order) -> Reply:
        sent.append(answering(post, site, order))
        return sent[-1]

    post.habits = dict.fromkeys(NAMES, noticed)
    post.direct()

    plain = [np.asarray(done.delta, "<f4") for _, done in trained]
    for reply in sent:
        if reply.array is not None and reply.papers:
            words = np.frombuffer(vector_values(reply.array, len(plain[0]), WORDS_32), "<u4")
            told = words.view("<i4").astype(float)
            for change in plain:
                assert abs(np.corrcoef(told, change)[0, 1]) < 0.05
    homes = [
        post.house.hub.settings.home,
        *(rooms.settings.home for rooms in post.house.sites.values()),
    ]
    files = [path.read_bytes() for home in homes for path in home.rglob("*") if path.is_file()]
    pieces = [change[:64].tobytes() for change in plain]
    assert not [piece for piece in pieces for data in files if piece in data]
