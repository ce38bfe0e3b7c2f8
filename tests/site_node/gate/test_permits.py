"""Permits: what a hospital did not sign itself never opens its data."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import pytest

from compliance.canonical import sha256_id
from compliance.errors import Refused
from compliance.records.coalitions import SweepStep
from compliance.records.order import Order
from compliance.rules.state import StudyState
from compliance.signing.note import parse_line
from site_node.store import studies as decisions
from site_node.wiring import Rooms
from tests.site_node.gate.world import STUDY, US, VERSION, World, key

OTHER = sha256_id(b"something else")


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site whose study is launched and mirrored."""
    made = world.joined()
    world.launched(made)
    return made


def ordered(world: World, rooms: Rooms, **changes: Any) -> Order:
    """Open a round and let the mirror see it."""
    order = world.hub.open_round(**changes)
    rooms.witness.step(STUDY)
    return order


def refusal(world: World, rooms: Rooms, order: Order) -> str:
    """The rule by which the order is refused; the dataset must not have been asked for."""
    with pytest.raises(Refused) as caught:
        rooms.permits.check(order, world.time.now)
    return caught.value.rule


def test_an_order_that_the_hospital_signed_for_is_permitted(world: World, rooms: Rooms) -> None:
    """Charter signed here, round open in the own mirror, data as pinned: permitted, with terms."""
    order = ordered(world, rooms)

    permit = rooms.permits.check(order, world.time.now)

    assert (permit.study, permit.dataset.id, permit.dataset_version) == (STUDY, "chest", VERSION)
    assert (permit.examples, permit.min_examples, permit.min_cell) == (40, 20, 5)
    assert permit.seed == rooms.permits.check(order, world.time.now).seed
    assert rooms.journal.lines()[-1]["kind"] == "permitted"


def test_an_order_that_the_mirror_does_not_hold_waits(world: World, rooms: Rooms) -> None:
    """What only the hub claims is not there yet."""
    order = world.hub.open_round()

    assert refusal(world, rooms, order) == "mirror.behind"
    assert rooms.catalogue.asked == ["chest"]  # type: ignore[attr-defined]  # at approval only


def test_an_entry_that_arrives_while_we_look_does_not_refuse_its_order(
    world: World, rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent mirrors in a process of its own: what we read before it is older than the order."""
    order = world.hub.open_round()
    state = rooms.mirror.state

    def outrun(study: str) -> StudyState:
        found = copy.deepcopy(state(study))  # as another process holds it
        rooms.witness.step(STUDY)
        return found

    monkeypatch.setattr(rooms.mirror, "state", outrun)

    with contextlib.suppress(Refused):  # it may have to ask again, and never more than that
        rooms.permits.check(order, world.time.now)
    rooms.witness.step(STUDY)

    assert rooms.permits.check(order, world.time.now).study == STUDY
    assert not [line for line in rooms.journal.lines() if line["kind"] == "not.permitted"]


def test_an_order_for_an_unknown_study_is_refused(world: World, rooms: Rooms) -> None:
    """A log that is not mirrored here permits nothing."""
    order = ordered(world, rooms, log=OTHER)

    assert refusal(world, rooms, order) == "mirror.behind"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"leaf": OTHER}, "mirror.behind"),
        ({"entry": 0}, "mirror.behind"),
        ({"round": 2}, "round.sequence"),
        ({"model_sha256": OTHER}, "round.model"),
        ({"layout_sha256": OTHER}, "round.model"),
        ({"deadline": "2026-11-22T08:59:59Z"}, "round.deadline"),
        ({"kind": "unmask"}, "site.policy"),
        ({"kind": "sweep"}, "round.sequence"),
    ],
)
def test_an_order_that_differs_from_the_log_is_refused(
    world: World, rooms: Rooms, changes: dict[str, Any], rule: str
) -> None:
    """An order is no authority: each of its fields is compared with the own mirror."""
    real = ordered(world, rooms)
    order = real.model_copy(update=changes)

    assert refusal(world, rooms, order) == rule
    assert rooms.catalogue.asked == ["chest"]  # type: ignore[attr-defined]  # at approval only


def test_nothing_is_swept_where_the_charter_has_no_sweep(world: World, rooms: Rooms) -> None:
    """The hub may want to know more; the hospitals agreed on equal shares."""
    world.close_round(rooms, 1)
    real = ordered(world, rooms, number=2)
    (last,) = rooms.mirror.state(STUDY).rounds_closed
    held = rooms.mirror.leaf(STUDY, last.index)
    assert held is not None
    step = SweepStep(name="sweep-0011223344556677", batch=0, step=1)
    leaf = "sha256:" + held[0].hex()
    asked = {"kind": "sweep", "round": 1, "entry": last.index, "leaf": leaf, "sweep": step}

    assert refusal(world, rooms, real.model_copy(update=asked)) == "coalition.sweep"


def test_a_yes_that_only_the_hub_remembers_opens_nothing(world: World, rooms: Rooms) -> None:
    """Our own record of the signature is what counts; without it the data stay shut."""
    order = ordered(world, rooms)
    with rooms.store.begin() as session:
        decision = decisions.find_decision(session, order.log)
        assert decision is not None
        decision.line, decision.state = "", decisions.REFUSED

    assert refusal(world, rooms, order) == "site.unsigned"


def test_a_withdrawn_hospital_trains_no_more_even_before_the_hub_knows(
    world: World, rooms: Rooms
) -> None:
    """Leaving counts here at once, whatever the hub does with it."""
    order = ordered(world, rooms)
    world.hub.away = True
    rooms.steward.withdraw(STUDY, "consent")

    assert refusal(world, rooms, order) == "site.withdrawn"


def test_a_stopped_study_permits_nothing(world: World, rooms: Rooms) -> None:
    """One hospital stops it; this one asks its own mirror and stops too."""
    order = ordered(world, rooms)
    world.time.forward(seconds=5)
    world.hub.say(
        "study.stopped", {"reason": "safety", "on_behalf": None}, by=key("south.example/node")
    )
    rooms.witness.step(STUDY)

    assert refusal(world, rooms, order) == "study.stopped"


def test_an_expired_charter_permits_nothing(world: World, rooms: Rooms) -> None:
    """A year later the paper is worth nothing."""
    order = ordered(world, rooms)
    world.time.forward(days=366)

    assert refusal(world, rooms, order) == "charter.expired"


def test_a_bundle_that_differs_in_one_byte_opens_nothing(world: World, rooms: Rooms) -> None:
    """The charter's bundle must be the one this site was given to trust, to the last byte."""
    order = ordered(world, rooms)
    other = rooms.settings.bundle_sha256 or ""
    changed = other[:-1] + ("0" if other[-1] != "0" else "1")
    again = world.rooms(bundle_sha256=changed)

    assert refusal(world, again, order) == "round.bundle"
    assert again.catalogue.asked == []  # type: ignore[attr-defined]


def test_another_version_of_the_data_is_refused(world: World, rooms: Rooms) -> None:
    """The charter pins a version; newer data need a new agreement."""
    order = ordered(world, rooms)
    rooms.catalogue.version = OTHER  # type: ignore[attr-defined]

    assert refusal(world, rooms, order) == "dataset.version"


def test_too_few_cases_are_refused_before_training(world: World, rooms: Rooms) -> None:
    """Below the agreed floor nothing is computed at all."""
    order = ordered(world, rooms)
    rooms.catalogue.train = 19  # type: ignore[attr-defined]

    assert refusal(world, rooms, order) == "update.min_examples"


def test_the_hospitals_own_floor_can_only_tighten(world: World, rooms: Rooms) -> None:
    """A setting above the charter's floor refuses; one below changes nothing."""
    order = ordered(world, rooms)

    assert refusal(world, world.rooms(min_examples=21), order) == "site.floor"
    assert refusal(world, world.rooms(min_cell=6), order) == "site.floor"
    permit = world.rooms(min_examples=1, min_cell=1).permits.check(order, world.time.now)
    assert (permit.min_examples, permit.min_cell) == (20, 5)


def test_a_family_that_is_not_allowed_here_is_refused(world: World, rooms: Rooms) -> None:
    """The site's list of recipe families is the site's."""
    order = ordered(world, rooms)

    assert refusal(world, world.rooms(families=("densenet121_gn",)), order) == "site.policy"


def test_a_log_that_contradicts_itself_permits_nothing(world: World, rooms: Rooms) -> None:
    """After an alarm training stops in this study."""
    order = ordered(world, rooms)
    world.hub.log.entries.pop()
    rooms.witness.step(STUDY)

    assert refusal(world, rooms, order) == "checkpoint.old"


def test_the_last_model_may_be_evaluated_after_the_rounds(world: World, rooms: Rooms) -> None:
    """An evaluation order needs no open round, only the study's own last model."""
    train = ordered(world, rooms)
    world.time.forward(seconds=5)
    world.hub.say("round.aborted", {"round": 1, "reason": "operator", "on_behalf": None})
    rooms.witness.step(STUDY)
    order = train.model_copy(update={"kind": "evaluate"})

    assert rooms.permits.check(order, world.time.now).study == STUDY
    wrong = order.model_copy(update={"model_sha256": OTHER})
    assert refusal(world, rooms, wrong) == "round.model"


def test_a_forged_line_under_our_name_is_no_signature(world: World) -> None:
    """The hub's database says we signed: the card does not show it, the gate does not open."""
    rooms = world.joined()
    world.hub.propose(world.charter(rooms))
    forged = key(f"{US}/institution").line(world.hub.charter or b"")
    world.hub.lines.append(forged)

    card = rooms.steward.show(STUDY)

    assert parse_line(forged).name == f"{US}/institution"
    assert card["signed"] == []
    assert card["own_answer"] is None
