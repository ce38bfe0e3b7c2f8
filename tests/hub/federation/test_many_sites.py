"""With many hospitals a hub asks once for all, and believes nobody about whose answer it is."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import ConfigRecord, Message, Metadata, RecordDict
from flwr.app.message import make_message, remove_content_from_message
from flwr.common.serde import message_to_proto
from flwr.proto.message_pb2 import PullObjectResponse
from flwr.proto.node_pb2 import Node
from flwr.proto.runtime_pb2 import PullAppMessagesResponse
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.superlink.grid.http_grid import HttpGrid

from compliance.errors import NotReady
from compliance.records.wire import NOTES, WORDS
from hub.federation import suspicion
from hub.federation.aggregation.vectors import ArrayVector
from hub.federation.answers import CLIENT
from hub.federation.commands import ask_flower_in_turn, flower_environment
from hub.federation.exchange import Failure, FlowerExchange
from hub.federation.gateway import ASK_AGAIN, ASKED_A_SECOND, Gateway
from hub.federation.replies import Reply
from hub.federation.superlink import Loopback
from hub.storage import members as rows
from tests.hub.house import NAMES, House

RUN = 7


def answer_to(order: str, says: str, note: bytes = b"note") -> Message:
    """An answer to an order, whose own words name another order perhaps."""
    words = RecordDict({WORDS: ConfigRecord({NOTES: [note]})})
    told = Metadata(RUN, "", 1, 1, says, "", 0.0, 60.0, "train")
    made = make_message(metadata=told, content=words)
    made.metadata.__dict__["_message_id"] = made.object_id
    made.__dict__["_order"] = order
    return made


class Link:
    """A SuperLink as its client shows it: answers by the order that each of them belongs to."""

    def __init__(self, *answers: Message) -> None:
        self.answers, self.asked, self.confirmed = list(answers), [], []
        self.parts: dict[str, bytes] = {}
        for one in answers:
            nested = get_all_nested_objects(one)
            self.parts |= {name: part.deflate() for name, part in nested.items()}

    def pull_messages(self, request: Any) -> Any:
        """Hand out every answer once."""
        self.asked.append(sorted(request.message_ids))
        told = PullAppMessagesResponse()
        for one in self.answers:
            plain = message_to_proto(remove_content_from_message(one))
            plain.metadata.message_id = one.metadata.message_id
            plain.metadata.reply_to_message_id = one.__dict__["_order"]
            told.messages_list.append(plain)
            told.message_object_trees.append(get_object_tree(one))
        self.answers.clear()
        return told

    def pull_object(self, request: Any) -> Any:
        """A part, if it is here."""
        part = self.parts.get(request.object_id)
        return PullObjectResponse(
            object_found=part is not None, object_available=True, object_content=part or b""
        )

    def confirm(self, request: Any) -> None:
        """Note what may be forgotten."""
        self.confirmed.append(request.message_object_id)


def exchange_with(link: Link) -> FlowerExchange:
    """An exchange over this link."""
    client = SimpleNamespace(
        PullMessages=link.pull_messages,
        PullObject=link.pull_object,
        ConfirmMessageReceived=link.confirm,
    )
    run, node = SimpleNamespace(run_id=RUN), Node(node_id=1)
    grid = SimpleNamespace(**{CLIENT: client}, run=run, node=node)
    return FlowerExchange(grid, lambda: {})  # type: ignore[arg-type]


def test_a_hundred_orders_are_one_question() -> None:
    """Whoever is silent costs no question of its own; an answer is let go of when it was read."""
    answer = answer_to("m3", "m3")
    link = Link(answer)

    found = list(exchange_with(link).receive({f"s{n}.example": f"m{n}" for n in range(100)}))

    assert found == [Reply("s3.example", None, [b"note"])]
    assert len(link.asked) == 1
    assert len(link.asked[0]) == 100
    assert link.confirmed == [answer.metadata.message_id]


def test_an_answer_cannot_pass_itself_off_as_another_hospitals() -> None:
    """Its own words name a victim's order: the SuperLink's word counts, he is waited for."""
    link = Link(answer_to("liars", says="victims", note=b"of the liar"))
    waiting = {"liar.example": "liars", "victim.example": "victims"}

    found = list(exchange_with(link).receive(waiting))

    assert found == [Reply("liar.example", None, [b"of the liar"])]


def test_an_answer_whose_values_never_came_is_a_failure_of_its_sender_only() -> None:
    """The others are read."""
    lost, good = answer_to("m1", "m1", b"lost"), answer_to("m2", "m2", b"good")
    link = Link(lost, good)
    del link.parts[lost.metadata.message_id]

    found = list(exchange_with(link).receive({"a.example": "m1", "b.example": "m2"}))

    assert isinstance(found[0], Failure)
    assert found[0].site == "a.example"
    assert found[1] == Reply("b.example", None, [b"good"])


def test_flower_still_keeps_its_client_where_we_look_for_it() -> None:
    """Else each order would be asked for alone, without anybody noticing."""
    assert isinstance(getattr(HttpGrid, CLIENT), property)


def test_a_request_of_one_hospital_reads_one_hospital(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cost of a signed request does not grow with the number of members."""
    house.join(*NAMES)

    def everybody(_: Any) -> Any:
        raise AssertionError("all members were read for the request of one")

    monkeypatch.setattr(rows, "all_members", everybody)

    assert house.rooms.members.standing_of(NAMES[0]) == "active"
    assert house.rooms.members.standing_of("nobody.example") == "waiting"


def test_the_more_pulls_are_held_the_less_often_each_is_asked_for(tmp_path: Path) -> None:
    """All together ask at one bounded pace; without a bell nobody would wake them, so they ask."""
    place = Loopback(1, tmp_path, "")
    rung, deaf = (
        Gateway(place=lambda: place, keys=list, bell=bell) for bell in (tmp_path / "bell", None)
    )
    rung._waiting = deaf._waiting = 100

    assert rung._at_least(ASK_AGAIN[0]) == 100 / ASKED_A_SECOND
    assert deaf._at_least(ASK_AGAIN[0]) == ASK_AGAIN[0]
    rung._waiting = 1
    assert rung._at_least(ASK_AGAIN[0]) == ASK_AGAIN[0]


def test_a_registration_that_fails_is_told_in_flowers_words(tmp_path: Path) -> None:
    """Several commands in one process; the first failure ends it."""
    turns = [["supernode", "register", str(tmp_path / "none.pub"), "consilium"]] * 2

    with pytest.raises(NotReady) as error:
        ask_flower_in_turn(turns, flower_environment({}, tmp_path / "home"))

    assert "does not exist" in str(error.value)


def test_ranks_of_many_updates_take_short_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty updates are looked at in as much memory as six, and come out the same."""
    random = np.random.default_rng(3)
    updates = {
        f"s{n:02d}.example": ArrayVector(random.normal(0, 1 + n, 700).astype(np.float32))
        for n in range(60)
    }
    whole = suspicion.ranks(updates)
    widths = []
    read = ArrayVector.read
    monkeypatch.setattr(suspicion, "CHUNK", 150)
    monkeypatch.setattr(
        ArrayVector, "read", lambda self, a, b, into: (widths.append(b - a), read(self, a, b, into))
    )

    assert suspicion.ranks(updates) == whole
    assert max(widths) * 60 <= suspicion.ROWS * 150
