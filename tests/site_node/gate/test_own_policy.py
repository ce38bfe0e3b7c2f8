"""The site's policy at the gate: asked before data is touched, and the refusal has its own name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import yaml

from compliance.errors import Refused
from compliance.records.order import Order
from compliance.rules.words import SENTENCES
from site_node.federation import in_time
from site_node.gate import doctor
from site_node.gate.say import card_lines, check_lines
from site_node.policy import FILE
from site_node.wiring import Rooms
from tests.guards import Guard, take_away
from tests.site_node.gate.world import STUDY, World

NOISE = {"unit": "patient", "epsilon": "4", "delta": "0.00001", "accountant": "prv"}
TERMS = "site_node.gate.terms"


def ordered(world: World, rooms: Rooms) -> Order:
    """Open a round and let the mirror see it."""
    order = world.hub.open_round()
    rooms.witness.step(STUDY)
    return order


def under(world: World, **lines: Any) -> Rooms:
    """The site as a new process finds it, under a policy."""
    (world.home / FILE).write_text(yaml.safe_dump(lines))
    return world.rooms()


def asked(world: World, rooms: Rooms, order: Order) -> str:
    """The rule by which an order is refused; no dataset may have been asked for."""
    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)
    assert rooms.catalogue.asked == []  # type: ignore[attr-defined]
    return caught.value.rule


LINES = [
    ({"purposes": ["DS", "MDS"]}, "site.purpose"),
    ({"max_epsilon": 8}, "site.epsilon"),
    ({"hours": ["mon-fri 19:00-06:00"]}, "site.hours"),
    ({"families": ["densenet121_gn"]}, "site.policy"),
    ({"max_rounds": 4}, "site.policy"),
    ({"min_examples": 21}, "site.floor"),
    ({"min_cell": 6}, "site.floor"),
]


@pytest.mark.parametrize(("lines", "rule"), LINES)
def test_what_the_policy_forbids_is_refused_before_data_is_touched(
    world: World, rooms: Rooms, lines: dict[str, Any], rule: str
) -> None:
    """A charter signed before the policy was written does not stand above it."""
    order = ordered(world, rooms)

    assert asked(world, under(world, **lines), order) == rule
    assert rule in SENTENCES
    last = rooms.journal.lines()[-1]
    assert (last["kind"], last["rule"]) == ("not.permitted", rule)


def test_what_the_policy_allows_is_permitted(world: World, rooms: Rooms) -> None:
    """Each line names what the charter keeps to."""
    order = ordered(world, rooms)
    again = under(
        world,
        purposes=["HMB"],
        for_profit=False,
        families=["cnn2d_small"],
        max_rounds=5,
        min_examples=20,
        hours=["sun 08:00-10:00"],
    )

    assert again.permits.check(order, world.time.now).study == STUDY


@pytest.mark.parametrize("gain", ["for_profit", "commercial"])
def test_a_study_for_profit_is_refused_where_the_policy_says_so(world: World, gain: str) -> None:
    """Profit and trade are asked apart from the purpose's word."""
    rooms = world.joined()
    purpose = {"use": "HMB", "disease": [], "for_profit": False, "commercial": False, "flags": []}
    world.launched(rooms, purpose={**purpose, gain: True})
    order = ordered(world, rooms)

    assert asked(world, under(world, for_profit=False), order) == "site.purpose"


@pytest.mark.parametrize(("most", "rule"), [(3.9, "site.epsilon"), (4, "recipe.dp")])
def test_a_budget_above_the_policy_is_named_in_the_card(
    world: World, most: float, rule: str
) -> None:
    """Four is not below 3.9; at 4 only the recipe, which has no noise, does not fit."""
    world.joined()
    rooms = under(world, max_epsilon=most)
    world.hub.propose(world.charter(rooms, dp=NOISE))

    denied = {row["rule"] for row in rooms.steward.show(STUDY)["verdicts"] if not row["allowed"]}

    assert rule in denied
    assert ("site.epsilon" in denied) is (rule == "site.epsilon")


def test_the_card_says_what_the_policy_forbids(world: World) -> None:
    """Before anybody signs: the refusal, and every line of the policy."""
    world.joined()
    rooms = under(world, purposes=["DS"], hours=["mon-fri 19:00-06:00"], min_cell=9)
    world.hub.propose(world.charter(rooms))

    card = rooms.steward.show(STUDY)

    denied = {row["rule"] for row in card["verdicts"] if not row["allowed"]}
    assert denied == {"site.purpose", "site.floor"}
    text = "\n".join(card_lines(card))
    assert "Own policy    hours: mon-fri 19:00-06:00" in text
    assert "site.purpose: The hospital's own policy does not allow this purpose." in text
    with pytest.raises(Refused):
        rooms.steward.approve(STUDY, None, None)


def test_an_answer_that_ends_after_the_hours_stays_here(world: World, rooms: Rooms) -> None:
    """The release asks again: what was worked out when nobody may work does not leave."""
    order = ordered(world, rooms)
    again = under(world, hours=["sun 08:00-09:05"])
    permit = again.permits.check(order, world.time.now)
    world.time.forward(minutes=5)

    with pytest.raises(Refused, match="hour") as caught:
        again.release.admit(permit, order, delta=b"", n=40, steps=9, metrics=[])
    assert caught.value.rule == "site.hours"


def test_work_is_ended_when_the_hours_end(
    world: World, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only the answer: training itself stops at its next sign of life."""
    order = ordered(world, rooms)
    again = under(world, hours=["sun 08:00-09:01"])
    permit = again.permits.check(order, world.time.now)

    def trains(_: Any, __: Any, ___: Any, progress: Any) -> None:
        progress("epoch 1", 0.1)
        world.time.now += timedelta(minutes=1)
        progress("epoch 2", 0.2)
        raise AssertionError("it went on")

    monkeypatch.setattr(in_time, "carry_out", trains)
    with pytest.raises(Refused) as caught:
        in_time.work(again, permit, order, memoryview(b""))
    assert caught.value.rule == "site.hours"


def test_under_an_unclear_policy_no_order_is_carried_out(world: World, rooms: Rooms) -> None:
    """A running node meets a file that somebody broke: refused by name, the story stays here."""
    order = ordered(world, rooms)
    (world.home / FILE).write_text("min_cel: 9")
    again = world.rooms(strict=False)

    assert asked(world, again, order) == "site.policy"
    assert "min_cel" in str(again.journal.lines()[-1]["data"]["said"])


def test_the_doctor_names_a_broken_policy(world: World, rooms: Rooms) -> None:
    """The row is not well and says which line; a good file is listed with what it tightens."""
    (world.home / FILE).write_text("min_cel: 9")
    broken = "\n".join(check_lines(_checks(world.rooms(strict=False))))
    assert "NOT policy_broken" in broken
    assert "min_cel" in broken

    closed = "\n".join(check_lines(_checks(under(world, hours=["mon 08:00-09:00"]))))
    assert "policy.yaml tightens hours; closed at this hour." in closed
    (world.home / FILE).unlink()
    assert "No policy.yaml" in "\n".join(check_lines(_checks(world.rooms())))


def _checks(rooms: Rooms) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = doctor.as_plain(doctor.examine(rooms.patient))["checks"]
    return rows


@pytest.mark.parametrize(
    ("lines", "guard"),
    [
        (LINES[0][0], Guard(f"{TERMS}:check_purpose", "if policy.purposes")),
        (LINES[1][0], Guard(f"{TERMS}:check_epsilon", "if charter.dp is None", "return")),
        (LINES[2][0], Guard(f"{TERMS}:check_hours", "if not policy.open_at")),
        (LINES[3][0], Guard(f"{TERMS}:check_own_limits", "if settings.families")),
        (LINES[4][0], Guard(f"{TERMS}:check_own_limits", "if charter.max_rounds")),
        (LINES[5][0], Guard(f"{TERMS}:check_own_limits", "for name in")),
    ],
)
def test_without_its_question_a_line_would_forbid_nothing(
    world: World,
    rooms: Rooms,
    monkeypatch: pytest.MonkeyPatch,
    lines: dict[str, Any],
    guard: Guard,
) -> None:
    """Each question taken away once lets the order through: none of them stands for another."""
    order = ordered(world, rooms)
    take_away(monkeypatch, guard)

    assert under(world, **lines).permits.check(order, world.time.now).study == STUDY
