"""A study with noise from the charter to the log: what is trained is paid for, and nothing else."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compliance.errors import Refused
from compliance.records.envelope import parse_event
from compliance.records.order import Order
from compliance.records.reasons import Excluded
from compliance.records.recipe import layout_of, shipped
from compliance.records.rounds import PrivacyCost, UpdateSubmitted
from compliance.records.wire import ARRAYS, VECTOR
from compliance.rules.noise import rounded_up
from compliance.rules.pricing import bound_of
from compliance.signing.note import parse
from dashboard import spending
from dashboard.drafting import draft_of
from hub.federation.replies import Cases, judge_update
from site_node.federation.client_app import Reply, answer
from site_node.gate.say import card_lines
from site_node.training.accounting import epsilon_of
from site_node.wiring import Rooms
from tests.house import House
from tests.simulator import shares
from tests.site_node.federation.test_client_app import message, order_of, said
from tests.site_node.gate.kept import back_up, come_back
from tests.site_node.gate.test_restored import others_look
from tests.site_node.training.hospital import MemoryDataset

NORTH, SOUTH = "north.example", "south.example"
STEPS = 3
RECIPE = {
    "id": "cnn2d-small-dp",
    "changes": {"dp": {"sigma": "2", "clip": "1", "batch": 10}, "local": {"steps": STEPS}},
}
TERMS = {"unit": "patient", "epsilon": "4", "delta": "0.00001", "accountant": "prv"}
PATIENTS = [f"p{number}" for number in range(40)]
RATE = Decimal("0.25")


@pytest.fixture(autouse=True)
def _data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every hospital trains on the same forty patients in memory."""
    random = np.random.default_rng(1)
    pictures = random.random((40, 1, 28, 28)).astype(np.float32)
    part = (pictures, random.integers(0, 2, 40))
    data = MemoryDataset(
        "binary",
        ("normal", "pneumonia"),
        {"train": part, "validation": part, "test": part},
        {"train": PATIENTS},
    )
    monkeypatch.setattr("site_node.training.session.open_dataset", lambda _: data)
    monkeypatch.setattr(Rooms, "people", lambda *_: list(PATIENTS))


def launched(folder: Path, capsys: Any, *more: str, **changes: Any) -> House:
    """A study with noise that everybody signed."""
    house = House(folder, capsys, (NORTH, SOUTH, *more))
    house.launch(**{"recipe": RECIPE, "dp": TERMS, "max_rounds": 5, **changes})
    return house


def opened(house: House) -> Order:
    """The order of a new round."""
    house.hub.rounds.open(house.hub.rounds.begin(house.study))
    house.time.forward(seconds=6)
    house.look()
    return order_of(house)


def told(house: House, name: str, order: Order) -> Reply:
    """What a hospital answers; the hub takes its notes into the log."""
    reply = answer(house.sites[name], message(house, order), "train")
    for note in reply.notes:
        house.hub.ledger.append(house.study, note)
    return reply


def update(reply: Reply) -> UpdateSubmitted:
    """The update of a reply."""
    body = parse_event(parse(reply.notes[-1]).text).body
    assert isinstance(body, UpdateSubmitted)
    return body


def cost(reply: Reply) -> PrivacyCost:
    """What a reply says that it cost."""
    found = update(reply).dp
    assert found is not None
    return found


def closed(house: House, order: Order) -> None:
    """The hub closes the round with the model as it was: what it becomes is not asked here."""
    sent = house.hub.ledger.state(house.study).running.submitted
    layout = layout_of(shipped()["cnn2d-small"])
    vector = np.frombuffer(house.hub.rounds.model(house.study), "<f4") + np.float32(0.001)
    closing = {
        "round": order.round,
        "used": {site: body.update_sha256 for site, body in sent.items()},
        "weights": shares(sorted(sent)),
        "excluded": {},
        "missing": {},
        "aggregator": "fedavg",
        "model_sha256": house.hub.registry.put(house.study, layout, vector.tobytes(), "round"),
        "bytes": 4 * layout.count,
    }
    house.hub.ledger.say(house.study, "round.closed", closing)
    house.time.forward(seconds=6)
    house.look()


def priced(steps: int) -> Decimal:
    """What the accountant says to so many steps."""
    return rounded_up(epsilon_of([(Decimal(2), RATE, steps)], Decimal("0.00001")))


def charges(rooms: Rooms) -> list[tuple[str, int, int]]:
    """State, round and steps of every charge of a hospital."""
    rows = [row for account in rooms.budget.accounts() for row in account["charges"]]
    return [(row["state"], row["round"], row["steps"]) for row in rows]


def test_a_study_with_noise_runs_and_the_log_holds_what_the_accountant_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two rounds at two hospitals; the hub counts the updates; sums are exact in the log.

    The steward read before what it would cost; an answer that is given again costs nothing.
    """
    house = launched(tmp_path / "house", capsys)
    north = house.sites[NORTH]
    _read_before_signing(north.steward.show(house.study))
    for number in (1, 2):
        order = opened(house)
        replies = {name: told(house, name, order) for name in (NORTH, SOUTH)}
        closed(house, order)
        for reply in replies.values():
            body = update(reply)
            array = message(house, order, reply.delta)[ARRAYS][VECTOR].data
            counted = judge_update(array, body, body.bytes // 4, Cases("≥floor", 40))
            assert not isinstance(counted, Excluded)
            assert body.n == 40
        state = north.mirror.state(house.study)
        assert state.spent(NORTH, "chest") == priced(STEPS * number)

    last = cost(replies[NORTH])
    assert Decimal(last.epsilon) == priced(STEPS * 2) - priced(STEPS)
    assert last.plain() == {
        "epsilon": last.epsilon, "delta": "0.00001", "sigma": "2", "clip": "1",
        "sample_rate": "0.25", "steps": STEPS,
    }  # fmt: skip
    assert charges(north) == [("spent", 1, STEPS), ("spent", 2, STEPS)]
    _given_again_for_nothing(house)


def _given_again_for_nothing(house: House) -> None:
    """The same order: the same bytes. A later round on the same model: the same vector, for 0."""
    first, north = opened(house), house.sites[NORTH]
    reply = told(house, NORTH, first)
    before = charges(north)

    assert answer(north, message(house, first), "train") == reply
    aborted = {"round": first.round, "reason": "operator", "on_behalf": None}
    house.hub.ledger.say(house.study, "round.aborted", aborted)
    again = told(house, NORTH, opened(house))

    assert again.delta == reply.delta
    assert (cost(again).epsilon, cost(again).steps) == ("0", 0)
    assert charges(north) == before


def _read_before_signing(card: dict[str, Any]) -> None:
    """Planned, what fits, what is left; in words and in numbers."""
    plan = card["privacy"]
    assert Decimal(plan["epsilon_planned"]) == priced(STEPS * 5)
    assert (plan["steps_a_round"], plan["steps_that_fit"], plan["patients"]) == (STEPS, 15, 40)
    text = "\n".join(card_lines(card))
    assert f"over 5 rounds of {STEPS} steps" in text
    assert "we set no cap of our own" in text
    assert all(row["allowed"] for row in card["verdicts"])


def test_a_budget_that_runs_out_ends_the_training_and_not_the_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two of three steps fit into the second round; the third is refused with the rule alone."""
    cap = priced(STEPS + 2)
    rows = [{"site": NORTH, "id": "chest", "epsilon": f"{cap}"}, {"site": SOUTH, "id": "chest"}]
    house = launched(tmp_path / "house", capsys, datasets=rows)
    steps = []
    for _ in range(2):
        order = opened(house)
        steps.append(cost(told(house, NORTH, order)).steps)
        told(house, SOUTH, order)
        closed(house, order)

    refusal = answer(house.sites[NORTH], message(house, opened(house)), "train")

    assert steps == [STEPS, 2]
    assert house.sites[NORTH].mirror.state(house.study).spent(NORTH, "chest") <= cap
    assert said(refusal).rule == "dp.budget"


def test_a_charter_and_its_recipe_must_say_the_same_of_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The hub refuses the draft; nobody is asked to sign it."""
    house = House(tmp_path / "house", capsys)
    with pytest.raises(Refused) as caught:
        house.propose(dp=TERMS)
    assert caught.value.rule == "charter.terms"
    with pytest.raises(Refused):
        house.propose(recipe=RECIPE)


def test_a_restored_hospital_refills_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Round 1 is in the log, round 2 was open: the first is charged as said, the second in full."""
    house = launched(tmp_path / "town", capsys, "west.example")
    back_up(house.sites[NORTH], tmp_path / "kept")
    order = opened(house)
    for name in house.sites:
        told(house, name, order)
    closed(house, order)
    opened(house)  # may have been answered to the hub alone

    north = come_back(house, tmp_path / "kept", tmp_path / "home")
    with pytest.raises(Refused) as caught:
        north.recalled.complete()
    assert caught.value.rule == "mirror.behind"
    for log in ("consortium", house.study):
        north.witness.step(log)
    others_look(house)
    for log in ("consortium", house.study):
        north.witness.step(log)
        north.restored.wake(log, "the test")
    north.recalled.complete()
    north.recalled.complete()

    assert charges(north) == [("spent", 1, STEPS), ("spent", 2, STEPS)]
    [account] = north.budget.accounts()
    assert Decimal(account["epsilon"]) == priced(STEPS * 2)
    assert [row["kind"] for row in north.journal.lines()].count("privacy.recalled") == 1


def test_what_the_form_drafts_is_signed_and_trained_and_its_price_stands_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the tick in the wizard to the table of what was spent, through both hospitals' gates."""
    answers = {
        "noise": True, "recipe": "cnn2d-small", "dp.epsilon": 4.0, "recipe.dp.sigma": 2.0,
        "recipe.dp.batch": 10, "recipe.local.epochs": 1,
    }  # fmt: skip
    recipes = [{"id": "cnn2d-small", "document": shipped()["cnn2d-small"].plain()}]
    draft = draft_of(answers, recipes)
    house = launched(tmp_path / "house", capsys, recipe=draft["recipe"], dp=draft["dp"])

    order = opened(house)
    said = {name: cost(told(house, name, order)) for name in (NORTH, SOUTH)}

    entries = house.hub.ledger.entries(house.study, 0, house.hub.ledger.size(house.study))
    rows = {row["site"]: row for row in spending.stated(entries)}
    steps = said[NORTH].steps
    assert set(rows) == {NORTH, SOUTH}
    for name, row in rows.items():
        assert row["epsilon"] == row["sum"] == Decimal(said[name].epsilon) == priced(steps)
        assert row["epsilon"] <= Decimal(bound_of(Decimal(2), RATE, steps, Decimal("0.00001")))
    accounts = spending.accounts(house.hub.ledger.state(house.study), [*rows.values()])
    spent = {row["site"]: (row["spent"], row["cap"]) for row in accounts}
    assert spent == {name: (priced(steps), Decimal(4)) for name in (NORTH, SOUTH)}
