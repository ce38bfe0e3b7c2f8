"""A masked round at one hospital, by the very functions that Flower calls: every lie of a hub."""

from __future__ import annotations

import base64
import contextlib
from pathlib import Path
from typing import Any

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from compliance.canonical import sha256_id
from compliance.ledger.merkle import leaf_hash
from compliance.records.decisions import DecisionDenied
from compliance.records.envelope import parse_event
from compliance.records.masking import Shares, UnmaskOrder, read_paper
from compliance.records.order import Order
from compliance.records.rounds import UpdateSubmitted
from compliance.records.wire import (
    COMMITMENTS,
    NOTES,
    OPENED,
    ORDER,
    SHARES,
    WORDS,
    WORDS_32,
    vector_values,
)
from compliance.signing.note import parse
from hub.federation.exchange import MESSAGES, read_message
from hub.federation.judging import papers_fit
from hub.federation.replies import Reply, read_notes
from site_node.federation import client_app, in_time
from tests.house import House
from tests.hub.federation.masked import MASKED, publish
from tests.site_node.federation.hostile import done
from tests.site_node.federation.test_client_app import message, order_of
from tests.site_node.gate.world import LAYOUT

CONTEXT = Context(1, 7, {}, RecordDict(), {})
EAST, NORTH, SOUTH = NAMES = ("east.example", "north.example", "south.example")


class Stage:
    """Three hospitals, the first masked round open, everybody's answer in the log."""

    def __init__(self, house: House, patch: pytest.MonkeyPatch) -> None:
        self.house, self._patch = house, patch
        for name in ("_run_id", "_task_id", "_node_id"):
            patch.setattr(TaskIdentity, name, 1)
        patch.setattr(in_time, "carry_out", lambda _, vector, *__: done(vector))
        patch.setattr(client_app, "MIRROR_SECONDS", 0.0)
        self.lease = house.hub.rounds.begin(house.study)

    def play(self) -> dict[str, Reply]:
        """A round until everybody's update is on record."""
        self.house.hub.rounds.open(self.lease)
        self.look()
        replies = {site: self.train(site) for site in NAMES}
        for reply in replies.values():
            for note in reply.notes:
                self.house.hub.ledger.append(self.house.study, note)
        self.look()
        return replies

    def look(self) -> None:
        """Every mirror catches up."""
        self.house.time.forward(seconds=6)
        self.house.look()

    def call(self, site: str, content: RecordDict, kind: str) -> Reply:
        """What the hub reads of a hospital's answer to a message."""
        self._patch.setenv("CONSILIUM_HOME", str(self.house.sites[site].settings.home))
        rooms = self.house.sites[site]
        self._patch.setattr(client_app, "site_rooms", lambda _: contextlib.nullcontext(rooms))
        flower = MESSAGES.get(kind, kind)
        incoming = Message(content, dst_node_id=7, message_type=flower)
        reply = read_message(site, client_app.app(incoming, CONTEXT))
        assert isinstance(reply, Reply)
        return reply

    def train(self, site: str, order: Order | None = None) -> Reply:
        """The answer to the order of the open round."""
        return self.call(site, message(self.house, order or order_of(self.house)), "train")

    def unmask(self, site: str, order: Order) -> Reply:
        """The answer to an order to open shares."""
        return self.call(site, RecordDict({WORDS: ConfigRecord({ORDER: order.encode()})}), "unmask")

    def lists(self, gone: tuple[str, ...] = ()) -> None:
        """The honest lists go on record, and every mirror sees them."""
        sent = self.house.hub.ledger.state(self.house.study).running.submitted
        alive = {site: body.update_sha256 for site, body in sent.items() if site not in gone}
        self.house.hub.rounds.unmask(self.lease, alive, list(gone))
        self.look()

    def order(self, replies: dict[str, Reply], to: str, **changes: Any) -> UnmaskOrder:
        """What an honest hub sends to one hospital."""
        shares = {
            site: read_paper(Shares, reply.papers[SHARES]).to[to] for site, reply in replies.items()
        }
        order = self.house.hub.rounds.unmask_order(self.house.study, shares)
        return UnmaskOrder.model_validate(order.plain() | changes)


@pytest.fixture
def stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """A masked study whose hospitals have published their keys."""
    house = House(tmp_path, capsys, NAMES)
    house.launch(max_rounds=3, round_seconds=600, min_sites=3, aggregator=MASKED)
    assert publish(house) == 3
    assert publish(house) == 0  # one key each, said once
    return Stage(house, monkeypatch)


def rule_of(reply: Reply) -> str:
    """The rule of a refusal; nothing else came."""
    (note,) = reply.notes
    body = parse_event(parse(note).text).body
    assert isinstance(body, DecisionDenied)
    assert (reply.array, reply.papers) == (None, {})
    return body.rule


def test_masked_values_leave_and_the_plain_ones_stay(stage: Stage) -> None:
    """Words under masks, sealed shares, commitments; the same bytes again, and no second mask."""
    replies = stage.play()
    site, reply = stage.house.sites[NORTH], replies[NORTH]
    values = vector_values(reply.array or b"", LAYOUT.count, WORDS_32)
    said = read_notes(reply).update
    assert said is not None
    assert isinstance(said[1], UpdateSubmitted)
    assert (said[1].masked, said[1].encoding) == (True, "masked-u32")
    assert said[1].update_sha256 == sha256_id(values)
    assert papers_fit(reply.papers, NORTH, list(NAMES))
    assert not papers_fit(reply.papers, SOUTH, list(NAMES))
    assert len(set(bytes(values[start : start + 4]) for start in range(0, 4000, 4))) > 990
    kept = [path.read_bytes() for path in (site.settings.home / "replies").glob("*.f32")]
    assert kept == [bytes(values)]
    leaving = site.egress.look()
    assert leaving.sums["mask.share"]["lines"] == 2

    assert stage.train(NORTH) == reply

    for path in (site.settings.home / "replies").glob("*.f32"):
        path.unlink()
    assert rule_of(stage.train(NORTH)) == "update.twice"


def test_a_lost_answer_is_not_masked_a_second_time(stage: Stage) -> None:
    """The update never reached the log and its file is gone: new masks would uncover it."""
    stage.house.hub.rounds.open(stage.lease)
    stage.look()
    stage.train(NORTH)
    for path in (stage.house.sites[NORTH].settings.home / "replies").glob("*.f32"):
        path.unlink()
    assert rule_of(stage.train(NORTH)) == "update.twice"


def test_every_lie_about_a_round_is_refused_and_the_truth_is_answered_once(stage: Stage) -> None:
    """No share is opened for a list that is not in the own mirror, or not in the hub's hands."""
    replies = stage.play()
    running = stage.house.hub.ledger.state(stage.house.study).running
    early = order_of(stage.house).model_copy(update={"kind": "unmask"})
    assert stage.unmask(NORTH, early).notes == []  # without a share it is no order at all
    stage.lists()
    asked = stage.order(replies, NORTH)
    other = base64.b64encode(b"x" * 214).decode()
    lies: dict[str, tuple[dict[str, Any], str]] = {
        "a list of another history": ({"leaf": "sha256:" + "ab" * 32}, "mirror.behind"),
        "a list that does not come": ({"entry": 999}, "mirror.behind"),
        "the opening for a list": (
            {"entry": running.index, "leaf": leaf_of(stage, running.index)},
            "round.sequence",
        ),
        "another round": ({"round": 2}, "round.sequence"),
        "another model": ({"model_sha256": "sha256:" + "cd" * 32}, "round.model"),
        "a share altered": ({"shares": asked.shares | {SOUTH: other}}, "mask.lists"),
        "shares of two only": (
            {"shares": {site: asked.shares[site] for site in (EAST, NORTH)}},
            "mask.lists",
        ),
        "a stranger's share": ({"shares": asked.shares | {"a.b": other}}, "mask.lists"),
    }
    told = {
        name: rule_of(stage.unmask(NORTH, asked.model_copy(update=change)))
        for name, (change, _) in lies.items()
    }
    assert told == {name: rule for name, (_, rule) in lies.items()}

    answer = stage.unmask(NORTH, asked)
    assert set(answer.papers) == {OPENED}
    assert answer.notes == []
    later = asked.model_copy(update={"shares": asked.shares | {SOUTH: other}})
    assert stage.unmask(NORTH, later) == answer  # what was answered is said again, nothing new
    stage.house.hub.rounds.stop(stage.lease, "safety")
    stage.look()
    assert rule_of(stage.unmask(NORTH, asked)) == "study.stopped"


def test_a_hub_without_judgement_gets_no_second_list_for_one_model(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It skips its own rules: the mirror does not take the entry, so nothing is opened."""
    replies = stage.play()
    stage.lists()
    stage.unmask(NORTH, stage.order(replies, NORTH))
    state = stage.house.hub.ledger.state(stage.house.study)
    state.running.unmasking = None
    state.unmasked.clear()
    sent = state.running.submitted
    alive = {site: body.update_sha256 for site, body in sent.items()}
    stage.house.time.forward(seconds=1)
    stage.house.hub.rounds.unmask(stage.lease, alive, [])
    stage.look()
    (alarm,) = stage.house.sites[NORTH].mirror.alarms(stage.house.study)
    assert "mask.once" in (alarm.rule, *alarm.finding.split()) or "once" in alarm.finding
    assert rule_of(stage.unmask(NORTH, stage.order(replies, NORTH))) == alarm.rule


def test_a_home_that_lost_its_mask_key_takes_no_part_and_publishes_another(stage: Stage) -> None:
    """Between two rounds only: the keys of an open round stay what they were."""
    from sqlalchemy import delete

    from site_node.store.masking import MaskKeyRow

    site = stage.house.sites[NORTH]
    stage.house.hub.rounds.open(stage.lease)
    with site.store.begin() as session:
        session.execute(delete(MaskKeyRow))
    stage.look()
    assert rule_of(stage.train(NORTH)) == "mask.key"
    assert publish(stage.house) == 0

    before = site.mirror.state(stage.house.study).mask_keys[NORTH]
    stage.house.hub.rounds.abort(stage.lease, "operator")
    stage.house.time.forward(seconds=6)
    assert publish(stage.house) == 1
    assert site.mirror.state(stage.house.study).mask_keys[NORTH] != before


def leaf_of(stage: Stage, index: int) -> str:
    """The leaf of an entry."""
    note = stage.house.hub.ledger.entries(stage.house.study, index, index + 1)[0]
    return "sha256:" + leaf_hash(note).hex()


def test_commitments_and_notes_are_all_that_goes_beside(stage: Stage) -> None:
    """An answer with more, or with half of its papers, is no answer to the hub."""
    reply = stage.play()[NORTH]
    words = {NOTES: reply.notes, **reply.papers}
    for change in ({"more": b"x"}, {COMMITMENTS: None}):
        told = {key: value for key, value in {**words, **change}.items() if value is not None}
        content = RecordDict({WORDS: ConfigRecord(told)})
        incoming = Message(content, dst_node_id=7, message_type="train")
        assert not isinstance(read_message(NORTH, incoming), Reply)
