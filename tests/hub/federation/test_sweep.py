"""The account of contributions under a real hub and real gates; nobody trains, numbers are made."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flwr.app import Context, Message, RecordDict
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.supercore.task_identity import TaskIdentity

from compliance.errors import Refused
from compliance.ledger.checkpoint import parse_text
from compliance.records.coalitions import stack_sha256
from compliance.records.order import Order
from compliance.records.recipe import layout_of, shipped
from compliance.report.log import Log
from compliance.rules import sweeps
from compliance.rules.coalitions import inputs_of
from compliance.rules.contribution import by_inputs
from compliance.rules.state import StudyState
from compliance.rules.sweeps import plan_of
from compliance.signing.note import parse
from hub.federation.aggregation.recount import recount
from hub.federation.exchange import Failure, FlowerExchange, read_message
from hub.federation.replies import Reply
from hub.services.start import initial_vector
from site_node.federation import client_app, in_time
from site_node.gate.starts import start_values
from site_node.store.replies import rows_of_kind
from site_node.training.work import Done, Work
from tests.house import House
from tests.hub.federation.post import Habit, Post, PowerCut, honest, silent
from tests.site_node.gate.world import LAYOUT

CONTEXT = Context(1, 7, {}, RecordDict(), {})
TWO = ("north.example", "south.example")
RULE = {"rule": "shapley_exact", "params": {"seeds": "5"}}


def sweeper(post: Post, site: str, order: Order) -> Reply | Failure | None:
    """Answer a sweep by the hospital's own ClientApp, in Flower's words both ways.

    Only the SuperLink between them is left out, and the worker's numbers are made.
    """
    if order.kind != "sweep":
        return honest(post, site, order)
    rooms = post.house.sites[site]
    rooms.look_at_consortium()
    rooms.witness.step(post.house.study)
    pushed: list[Message] = []
    grid: Any = SimpleNamespace(push_messages=lambda sent: pushed.extend(sent) or ["m"])
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_run_id", "_task_id", "_node_id"):
            patch.setattr(TaskIdentity, name, 1)
        patch.setenv("CONSILIUM_HOME", str(rooms.settings.home))
        patch.setattr(client_app, "site_rooms", lambda _: contextlib.nullcontext(rooms))
        exchange = FlowerExchange(grid, lambda: {"7": site})
        exchange.send(order, lambda: post.vectors[order.model_sha256], [site], 60.0)
        arrived = message_from_proto(message_to_proto(pushed[0]))
        assert arrived.metadata.message_type == "train.sweep"
        return read_message(site, client_app.app(arrived, CONTEXT))


def numbers(work: Work, sent: bytes, *_: object) -> Done:
    """What a worker would say: small updates, and the better a model the further it moved."""
    assert work.sweep is not None
    assert work.home, "what vouches for packages of recipes lies there"
    models = np.frombuffer(sent, "<f4").reshape(-1, LAYOUT.count)
    if work.sweep["measure"]:
        starts = models[[0, 4, 8, 12, 16]].repeat(4, axis=0)  # the empty coalition of each seed
        moved = np.abs(models - starts).max(axis=1)
        return Done(
            None, 0, 0, counts=[["test", 40, 20 + round(float(m) * 4000), None] for m in moved]
        )
    own = 0.001 * (1 + TWO.index(str(work.sweep["site"])))
    return Done(np.full(models.size, own, np.float32), 40, 9)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A hub and two hospitals; every test has a study of its own."""
    capture: Any = SimpleNamespace(readouterr=lambda: None)  # pytest's is gone after each test
    return House(tmp_path_factory.mktemp("house"), capture, TWO)


@pytest.fixture
def post(house: House, monkeypatch: pytest.MonkeyPatch) -> Post:
    """Two hospitals that signed a study of one round and an exact account."""
    monkeypatch.setattr(in_time, "carry_out", numbers)
    keep = {"name": "fedavg", "params": {"keep_updates": "1"}, "masked": False}
    terms = {"max_rounds": 1, "round_seconds": 600, "min_sites": 2, "aggregator": keep}
    house.launch(**terms, contribution=RULE)
    return Post(house, habits=dict.fromkeys(TWO, sweeper))


def state_of(post: Post) -> StudyState:
    """Where the study stands by the hub's log."""
    return post.house.hub.ledger.state(post.house.study)


def test_an_exact_account_is_measured_and_everybody_gets_the_same_shares(post: Post) -> None:
    """As many exchanges as the study had rounds and one more; the inputs follow from the log."""
    post.direct()

    state = state_of(post)
    assert state.closed == "completed", post.said
    assert [kind for _, kind, _ in post.sendings].count("sweep") == 4
    inputs = inputs_of(state, plan_of(state))
    assert inputs is not None
    assert list(state.accounts.values()) == [inputs]
    assert by_inputs(inputs) == {TWO[0]: Fraction(1, 6), TWO[1]: Fraction(5, 6)}


def test_more_coalitions_than_one_statement_holds(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nine hospitals and more: several statements a seed, and the same account."""
    monkeypatch.setattr(sweeps, "MOST_VALUES", 3)

    post.direct()

    state = state_of(post)
    told = [list(row.values) for site, row in state.coalitions[name_of(post)] if site == TWO[0]]
    assert told == [["0", "1", "2"], ["3"]] * 5
    (inputs,) = state.accounts.values()
    assert by_inputs(inputs) == {TWO[0]: Fraction(1, 6), TWO[1]: Fraction(5, 6)}


def test_a_power_cut_in_the_middle_repeats_nothing_and_changes_nothing(post: Post) -> None:
    """What is on disk and on record is not asked for again; the same account comes out."""
    post.cut_after = 2 + 2 + 2 + 1  # the round, its evaluation, the step; then one measured
    with pytest.raises(PowerCut):
        post.direct()
    before = list(post.sendings)
    measured = [site for site, _ in state_of(post).coalitions[name_of(post)]]

    post.direct()

    asked = [site for site, kind, _ in post.sendings[len(before) :] if kind == "sweep"]
    assert len(set(measured)) == 1
    assert asked == [site for site in TWO if site not in measured]
    assert len(state_of(post).accounts) == 1
    told = list(recount(log_of(post), post.house.hub.rounds.folder(post.house.study)))
    assert told == [("agrees", "10 statements, 1 steps")]


def test_a_hub_that_lost_its_files_gets_the_same_answers_again(post: Post) -> None:
    """The sweep begins anew, and every hospital sends the very bytes that it sent before.

    Updates that were kept and changed afterwards are found out by whoever plays it again.
    """
    post.cut_after = 2 + 2 + 2 + 1
    with pytest.raises(PowerCut):
        post.direct()
    kept = post.house.hub.rounds.folder(post.house.study)
    shutil.rmtree(kept / "sweep")

    post.direct()

    assert len(state_of(post).accounts) == 1
    models = {row.models_sha256 for _, row in state_of(post).coalitions[name_of(post)]}
    assert len(models) == 1
    folder = kept / "sweep" / name_of(post)
    last = folder / "0-0002.json"
    swapped = json.loads(last.read_text())
    swapped["sent"] = dict(zip(TWO, reversed(swapped["sent"].values()), strict=True))
    last.write_text(json.dumps(swapped))
    ((result, words),) = recount(log_of(post), kept)
    assert (result, "measured other models" in words) == ("differs", True)


def log_of(post: Post) -> Log:
    """The study's log as an auditor reads it; nobody has cosigned it here."""
    entries = post.house.hub.ledger.entries(post.house.study, 0)
    note = post.house.hub.ledger.checkpoint(post.house.study, latest=True)
    state = post.house.hub.ledger.state(post.house.study)
    return Log(entries, note, parse_text(parse(note).text), {}, state)


def name_of(post: Post) -> str:
    """The sweep that is due."""
    due = plan_of(state_of(post))
    assert due is not None
    return due.name


def test_a_silent_hospital_ends_the_account_and_not_the_study(post: Post) -> None:
    """Three tries, each to its deadline; the study is closed without an account, and says so."""
    post.habits["north.example"] = lambda p, site, order: (
        silent(p, site, order) if order.kind == "sweep" else honest(p, site, order)
    )

    post.direct()

    state = state_of(post)
    assert (state.closed, state.accounts) == ("completed", {})
    assert any("no answer of north.example to step 1" in line for line in post.said)


def twisted(change: Callable[[np.ndarray], None], step: int) -> Habit:
    """A hub that sends other models than the averages, from a step on."""

    def habit(post: Post, site: str, order: Order) -> Reply | Failure | None:
        if order.sweep is None or order.sweep.step < step:
            return sweeper(post, site, order)
        stack = np.frombuffer(post.vectors[order.model_sha256], "<f4").copy()
        change(stack)
        name = stack_sha256(order.layout_sha256, stack.tobytes())
        post.vectors[name] = stack.tobytes()
        return sweeper(post, site, order.model_copy(update={"model_sha256": name}))

    return habit


def shifted(stack: np.ndarray) -> None:
    """Not where it must begin."""
    stack[-1] += 1e-5


@pytest.mark.parametrize(("step", "rule"), [(1, "coalition.start"), (2, "coalition.models")])
def test_a_hub_that_sends_one_hospital_other_models_is_found_out(
    post: Post, step: int, rule: str
) -> None:
    """At the first step by the hospital itself; at the last by whoever reads the log."""
    post.habits["north.example"] = twisted(shifted, step)

    post.direct()

    assert state_of(post).accounts == {}
    assert rule in {denial.body.rule for denial in state_of(post).denials}


def test_a_hospital_makes_the_start_of_a_sweep_itself() -> None:
    """To the byte what the hub makes with its own code."""
    layout = layout_of(shipped()["cnn2d-small"])

    assert start_values(layout, b"seed 7") == initial_vector(layout, b"seed 7").tobytes()


def test_a_step_is_answered_once_and_none_is_skipped(post: Post) -> None:
    """Whoever could have any models trained here would learn more of the cases than agreed."""
    seen: list[Order] = []

    def watching(p: Post, site: str, order: Order) -> Reply | Failure | None:
        seen.append(order)
        return sweeper(p, site, order)

    post.habits = dict.fromkeys(TWO, watching)
    post.cut_after = 2 + 2 + 2
    with pytest.raises(PowerCut):
        post.direct()
    order = next(one for one in seen if one.kind == "sweep")
    assert order.sweep is not None
    stack = bytearray(post.vectors[order.model_sha256])
    stack[-1] ^= 1
    name = stack_sha256(order.layout_sha256, bytes(stack))
    post.vectors[name] = bytes(stack)
    later = order.sweep.model_copy(update={"step": 2})
    rooms = post.house.sites[TWO[0]]

    assert refusal(post, order.model_copy(update={"model_sha256": name})) == "coalition.course"
    strange = order.sweep.model_copy(update={"name": "sweep-0000000000000000"})
    assert refusal(post, order.model_copy(update={"sweep": strange})) == "coalition.sweep"
    with rooms.store.begin() as session:
        for row in rows_of_kind(session, post.house.study, f"{order.sweep.name}.0"):
            session.delete(row)
    assert refusal(post, order.model_copy(update={"sweep": later})) == "coalition.course"


def refusal(post: Post, order: Order) -> str:
    """The rule by which the first hospital refuses an order."""
    rooms = post.house.sites[TWO[0]]
    try:
        permit = rooms.permits.check(order, post.house.time.now)
        rooms.sweeps.task(permit, order, memoryview(post.vectors[order.model_sha256]))
    except Refused as error:
        return error.rule
    return "nothing"


def test_what_a_sweep_cannot_carry_is_refused_when_it_is_proposed(house: House) -> None:
    """Too large a network, noise, SCAFFOLD, layers that stay: in words, before anybody signs."""
    for recipe, words in (
        ({"id": "cnn2d-small", "changes": {"personal": {"layers": "norm"}}}, "whole models"),
        ({"id": "densenet121", "changes": {"local": {"scaffold": True}}}, "SCAFFOLD"),
        ({"id": "cnn2d-small-dp"}, "privacy budget"),
    ):
        with pytest.raises(Refused, match=words):
            house.propose(recipe=recipe, contribution=RULE, **noise_of(recipe))


def noise_of(recipe: dict[str, object]) -> dict[str, object]:
    """The privacy cap that a recipe with noise needs."""
    if recipe["id"] != "cnn2d-small-dp":
        return {}
    return {"dp": {"unit": "patient", "epsilon": "8", "delta": "0.00001", "accountant": "prv"}}
