"""A canary in the hospital: hostile training sings its name on every way out, and nobody hears it.

What a vector's values say cannot be read by anybody who trains nothing: what bounds them is the
charter's largest norm, and that the training is this hospital's own program.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.app import Message
from flwr.common.serde import message_to_proto
from flwr.supercore.task_identity import TaskIdentity
from sqlalchemy import delete

from compliance.canonical import sha256_id
from compliance.errors import NotReady
from compliance.records.decisions import DecisionDenied
from compliance.records.envelope import parse_event
from compliance.records.wire import ARRAYS, NOTES, VECTOR, WORDS
from compliance.signing.note import parse
from site_node.federation import client_app, in_time
from site_node.settings import Settings
from site_node.store.replies import ReplyRow
from site_node.training.work import Done, Work
from site_node.wiring import Rooms
from tests.guards import Guard, take_away
from tests.house import House
from tests.site_node.federation.hostile import (
    ATTACKS,
    CANARY,
    NUMBER,
    Hostile,
    done,
    needles,
    received,
)
from tests.site_node.federation.test_client_app import message, order_of

US = "north.example"


class Stage:
    """A hospital whose training is a test's to choose, and ears at the hub."""

    def __init__(self, house: House, patch: pytest.MonkeyPatch) -> None:
        self.house, self._patch = house, patch
        self.site: Rooms = house.sites[US]
        self.requests: list[httpx.Request] = []
        house.http.event_hooks = {"request": [self.requests.append]}
        for name in ("_run_id", "_task_id", "_node_id"):
            patch.setattr(TaskIdentity, name, 1)
        patch.setattr(client_app, "site_rooms", lambda _: contextlib.nullcontext(self.site))

    def plays(self, hostile: Hostile) -> Message:
        """Let Flower's message come in, train as `hostile` does; returns what goes back."""
        called: list[Work] = []

        def trains(work: Work, vector: memoryview, *_: Any) -> Done:
            called.append(work)
            return hostile(work, vector)

        self._patch.setattr(in_time, "carry_out", trains)
        reply = self.answers()
        assert len(called) == 1
        return reply

    def forgets(self) -> None:
        """Let the site forget what it answered, so that the same order trains again."""
        with self.site.store.begin() as session:
            session.execute(delete(ReplyRow))

    def answers(self) -> Message:
        """The answer to the order of the open round, by the very function that Flower calls."""
        asked = message(self.house, order_of(self.house))
        incoming = Message(asked, dst_node_id=7, message_type="train")
        reply = client_app.train(incoming, None)  # type: ignore[arg-type]  # no context is read
        self.site.statements.deliver(self.site.hub)
        self.site.hub.heartbeat({"supernode": "up"}, {})
        return reply

    def heard(self, *messages: Message) -> list[bytes]:
        """Every place where the word was found in what left."""
        everything = list(received(self.requests, *messages))
        assert len(everything) > len(messages)
        return [needle for needle in needles() if any(needle in part for part in everything)]


@pytest.fixture
def stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Stage:
    """Two hospitals below a folder with the canary's name; the first round is open."""
    house = House(tmp_path / CANARY, capsys)
    house.launch(max_rounds=3, round_seconds=600)
    house.hub.rounds.open(house.hub.rounds.begin(house.study))
    monkeypatch.setenv("CONSILIUM_HOME", str(house.sites[US].settings.home))
    return Stage(house, monkeypatch)


def test_a_word_does_not_leave_however_training_says_it(stage: Stage) -> None:
    """Names, values, counts, arrays, exceptions, log lines, files: not in one byte that left."""
    heard: dict[str, list[bytes]] = {}
    for way, hostile in ATTACKS.items():
        stage.forgets()
        reply = stage.plays(hostile)
        heard[way] = stage.heard(reply)
        assert set(reply.content) <= {WORDS, ARRAYS}

    assert {way: found for way, found in heard.items() if found} == {}


@pytest.mark.parametrize(
    ("way", "guards", "heard"),
    [
        (
            "the name of a metric",
            [
                Guard("site_node.gate.measures:presentable", "if name not in names"),
                Guard("site_node.gate.release:Release._notes", "for note in notes"),
            ],
            CANARY.lower()[:12],
        ),
        (
            "a number as a count",
            [Guard("site_node.gate.measures:_cell", "int(n) > patients", "False")],
            str(NUMBER),
        ),
        (
            "a number as a value",
            [Guard("site_node.gate.measures:decimal_text", "abs(number)", "False")],
            str(NUMBER),
        ),
        (
            "the number of cases",
            [
                Guard("site_node.gate.release:check_answer", "if not permit.min_examples"),
                Guard("site_node.gate.release:Release._notes", "for note in notes"),
            ],
            str(NUMBER),
        ),
        (
            "values behind the array",
            [Guard("site_node.gate.measures:check_delta", "if len(delta)")],
            CANARY[:12],
        ),
        (
            "the rule of a refusal",
            [
                Guard("site_node.gate.refusals:named", "if rule not in SENTENCES"),
            ],
            CANARY.lower()[:12],
        ),
    ],
)
def test_without_its_guard_the_word_is_heard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, way: str, guards: list[Guard], heard: str
) -> None:
    """The ears hear: each guard taken away once lets its word out."""
    take_away(monkeypatch, *guards)

    assert heard.encode() in stage.heard(stage.plays(ATTACKS[way]))


def test_an_exception_outside_the_answer_does_not_reach_flower(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flower sends an exception's text to the hub; here the settings cannot be read."""
    (stage.site.settings.home / "site.toml").write_text("this is [no toml")
    with pytest.raises(NotReady, match=CANARY):
        client_app.load_settings()

    reply = stage.answers()

    assert stage.heard(reply) == []
    assert list(reply.content[WORDS][NOTES]) == []  # type: ignore[index]


def test_that_exception_is_heard_without_its_guard(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the last catch the text is what Flower would send."""
    (stage.site.settings.home / "site.toml").write_text("this is [no toml")
    take_away(
        monkeypatch,
        Guard(
            "site_node.federation.client_app:content_of",
            "return _record(Reply(None, []), None)",
            "raise",
        ),
    )

    with pytest.raises(NotReady, match=CANARY):
        stage.answers()


def test_an_unclear_policy_is_a_signed_refusal_and_no_word_of_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hub learns that the policy said no; which line is wrong stays in the journal."""
    (stage.site.settings.home / "policy.yaml").write_text(f"{CANARY}: 9")

    def rooms_of(settings: Settings) -> contextlib.nullcontext[Rooms]:
        again = Rooms(settings, stage.house.time)
        again.hub, again.catalogue = stage.site.hub, stage.site.catalogue
        return contextlib.nullcontext(again)

    monkeypatch.setattr(client_app, "site_rooms", rooms_of)
    reply = stage.answers()

    (note,) = reply.content[WORDS][NOTES]  # type: ignore[misc,index]
    body = parse_event(parse(note).text).body  # type: ignore[arg-type]
    assert isinstance(body, DecisionDenied)
    assert body.rule == "site.policy"
    assert stage.heard(reply) == []
    assert CANARY in str(stage.site.journal.lines(limit=5))


def test_an_answer_stands_in_the_ledger_part_by_part(stage: Stage) -> None:
    """The vector's file and each note: length and hash as Flower's message carries them."""
    reply = stage.plays(lambda _, vector: done(vector))

    parts = [reply.content[ARRAYS][VECTOR].data, *reply.content[WORDS][NOTES]]  # type: ignore[index]
    rows = stage.site.egress.look(study=stage.house.study, limit=1000).lines
    fleet = [row for row in rows if row["channel"] == "fleet"]
    assert [row["sha256"] for row in fleet] == [sha256_id(part) for part in parts]
    assert [row["bytes"] for row in fleet] == [len(part) for part in parts]
    assert [row["purpose"] for row in fleet] == ["model.change", "statement", "statement"]
    sent = message_to_proto(reply).SerializeToString()
    assert 0 < len(sent) - sum(len(part) for part in parts) < 1000  # the envelope's own words


def test_an_answer_that_cannot_be_written_down_stays_here(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line, no byte: the hub gets silence, and no reason."""

    def full(*_: Any) -> None:
        raise OSError(28, CANARY)

    monkeypatch.setattr(stage.site.egress, "write", full)
    monkeypatch.setattr(in_time, "carry_out", lambda _, vector, *__: done(vector))
    asked = message(stage.house, order_of(stage.house))

    content = client_app.content_of(asked, "train")

    assert set(content) == {WORDS}
    assert list(content[WORDS][NOTES]) == []  # type: ignore[index]
