"""Members that mean harm: whatever one sends, the study goes on and nothing malformed counts.

Real hub, real director, real gates; the hostile hospital has its own key and the hub's trust.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compliance.canonical import MAX_INTEGER, encode, sha256_id
from compliance.errors import ConsiliumError
from compliance.records.envelope import DOMAIN
from compliance.records.order import Order
from compliance.records.reasons import Excluded
from compliance.records.rounds import UpdateSubmitted
from compliance.records.wire import vector_file
from compliance.rules.verdict import Denied
from compliance.signing.note import parse, seal
from hub.federation.exchange import Failure
from hub.federation.replies import Cases, Reply, judge_update, read_notes
from tests import factories as make
from tests.house import House
from tests.hub.federation.attacks import ATTACKS, CANARY, COUNTED, Turn, answered, sent
from tests.hub.federation.post import Post
from tests.simulator import Federation

MALLORY = "south.example"
HONEST = ("east.example", "north.example", "west.example")
PATIENT = {"name": "fedavg", "params": {"offences": "1000"}, "masked": False}


@pytest.fixture(scope="module")
def parade(tmp_path_factory: pytest.TempPathFactory) -> Post:
    """A study in which a hospital tries one attack a round, after an honest first one."""
    patch = pytest.MonkeyPatch()
    for name in ("_run_id", "_task_id", "_node_id"):
        patch.setattr(TaskIdentity, name, 1)
    house = House(tmp_path_factory.mktemp("hostile"), _Quiet(), sorted((*HONEST, MALLORY)))  # type: ignore[arg-type]
    rounds = len(ATTACKS) + 1
    house.launch(max_rounds=rounds, round_seconds=600, min_sites=3, aggregator=PATIENT)
    post, attacks = Post(house), iter(ATTACKS.values())
    turns: dict[int, Any] = {}
    first: list[tuple[bytes, bytes]] = []

    def hostile(post: Post, site: str, order: Order) -> Reply | Failure | None:
        if order.kind != "train":
            return Failure(site)
        turn = Turn(post, site, order, first[0] if first else None)
        if not first:
            data = turn.delta.tobytes()
            first.append((vector_file(data), turn.note(data)))
            return answered(site, sent(*first[0]))
        if order.round not in turns:
            turns[order.round] = next(attacks)[0]
        content = turns[order.round](turn)
        return None if content is None else answered(site, content)

    post.habits[MALLORY] = hostile
    post.direct()
    patch.undo()
    return post


class _Quiet:
    def readouterr(self) -> None:
        """Nothing is captured."""


def outcomes(post: Post) -> dict[str, str]:
    """What became of each attack, by its name, from the accounts of the closed rounds."""
    closed = post.house.hub.ledger.state(post.house.study).rounds_closed[1:]
    return {
        name: str(row.excluded.get(MALLORY) or row.missing.get(MALLORY) or COUNTED)
        for name, row in zip(ATTACKS, closed, strict=True)
    }


def test_no_attack_stops_a_study_and_nothing_malformed_counts(parade: Post) -> None:
    """Fifty rounds, fifty attacks: each has the outcome that its line says."""
    state = parade.house.hub.ledger.state(parade.house.study)

    assert state.closed == "completed"
    assert outcomes(parade) == {name: outcome for name, (_, outcome) in ATTACKS.items()}
    assert all(set(HONEST) <= set(row.used) for row in state.rounds_closed)


def test_a_word_that_a_hostile_hospital_sends_as_a_name_is_nowhere_at_the_hub(
    parade: Post,
) -> None:
    """Not in the log, not in the hub's own log."""
    rooms = parade.house.hub
    everything = [*rooms.ledger.entries(parade.house.study, 0), *map(str.encode, parade.said)]

    assert len(everything) > len(ATTACKS)
    assert not [part for part in everything if CANARY.encode() in part]


def test_the_honest_ones_look_on_and_find_no_fault_in_the_log(parade: Post) -> None:
    """Their witnesses replay every rule over fifty hostile rounds and cosign."""
    parade.house.time.forward(seconds=6)
    for site in HONEST:
        rooms = parade.house.sites[site]
        rooms.look_at_consortium()
        assert rooms.witness.step(parade.house.study).outcome == "cosigned"
        assert rooms.mirror.alarms() == []


def test_the_boosted_one_is_seen_as_unlike_the_others(tmp_path: Path) -> None:
    """What people see: the scores name it; what the honest ones do does not stand out."""
    from hub.federation.aggregation.vectors import ArrayVector
    from hub.federation.suspicion import ranks
    from hub.services.scores import ScoreService

    scores = ScoreService(lambda _: tmp_path)
    for number in range(1, 13):
        draws = {
            site: _drawn(number * 10 + at)
            for at, site in enumerate((*HONEST, "lake.example", MALLORY))
        }
        draws[MALLORY] = -3 * draws[MALLORY]
        scores.keep("s", number, ranks({site: ArrayVector(array) for site, array in draws.items()}))

    told = scores.of("s")
    assert told["rounds"] == list(range(3, 13))
    assert told["sites"][MALLORY] == 1.0
    assert max(told["sites"][site] for site in HONEST) < 0.7


def _drawn(seed: int) -> Any:
    import numpy as np

    return np.random.default_rng(seed).normal(1e-3, 1e-3, 5000).astype(np.float32)


# ------------------------------------------------------------------------------------ fuzzing

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(max_size=80)
    | st.sampled_from(["sha256:" + "0" * 64, "1e400", "-0", "packed-f32", make.BEGINS]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=6,
)
FIELDS = sorted(UpdateSubmitted.model_fields)
ENVELOPE = ("actor", "log", "nonce", "time", "type", "v", "sealed", "more")


@pytest.fixture(scope="module")
def federation() -> Federation:
    """One study in memory whose first round is open."""
    return Federation().opened()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_field_of_a_statement_may_be_anything(federation: Federation, data: Any) -> None:
    """Read, judged, refused or taken: never another error, and what is taken is well-formed."""
    site = federation.sites[0]
    honest_note = federation.draft("update.submitted", federation.training(site), f"{site}/node")
    fields = json.loads(parse(honest_note).text[len(DOMAIN) :])
    for name in data.draw(st.lists(st.sampled_from((*FIELDS, *ENVELOPE)), min_size=1, max_size=3)):
        value = data.draw(JSON)
        (fields["body"] if name in FIELDS else fields)[name] = value
    note = seal(DOMAIN + encode(fields) + b"\n", federation.key(f"{site}/node"))

    try:
        spoken = read_notes(Reply(site, None, [note]))
    except ConsiliumError:
        return
    if spoken.update is not None:
        said = spoken.update[1]
        from compliance.rules.fold import judge

        verdict = judge(federation.state, note)
        if not isinstance(verdict, Denied):
            assert said.round == 1
            assert said.n >= federation.state.charter.min_examples
            assert not said.masked


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=200) | st.integers(0, 199).map(lambda at: vector_file(bytes(4 * 8))[at:]),
    st.integers(0, 200),
    st.binary(max_size=4),
)
def test_any_bytes_in_place_of_an_array_have_an_outcome(file: bytes, at: int, more: bytes) -> None:
    """Eight values are due: whatever comes, the answer is a reason or exactly these values."""
    file = file[:at] + more + file[at:]
    told = make.update("north.example", update_sha256=sha256_id(bytes(32)), bytes=32)
    said = UpdateSubmitted.model_validate(told)

    found = judge_update(file, said, 8, Cases("≥100", None))

    if not isinstance(found, Excluded):
        assert bytes(found[0]) == bytes(32)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=300) | st.just(b"\xe2\x80\x94 a b\n"), max_size=4))
def test_any_bytes_in_place_of_notes_are_malformed(notes: list[bytes]) -> None:
    """Nothing but our own family of errors comes out of reading."""
    try:
        spoken = read_notes(Reply("north.example", None, notes))
    except ConsiliumError:
        return
    assert spoken.update is None
