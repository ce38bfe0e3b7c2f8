"""A threshold that was chosen once: whatever tries to move it finds it where it was.

And what is looked at before a number is made: classes and preparation, and how far the data moved.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from compliance.canonical import sha256_id
from compliance.errors import NotProven, Refused
from compliance.records.order import Order
from site_node.gate.drift import DRIFT, data_moved, with_drift
from site_node.gate.measures import MetricClaim
from site_node.gate.model_file import ModelFile, vector_of
from site_node.gate.permits import Permit
from site_node.gate.release import Together
from site_node.store import points as table
from site_node.store.journal import close_store
from site_node.wiring import Rooms
from tests.site_node.gate.world import LAYOUT, RECIPE, STUDY, US, World

NAMES = {"primary": "auroc", "metrics": ["auroc", "threshold", "local.threshold"], "subgroups": []}
DELTA = np.full(LAYOUT.count, 0.001, dtype="<f4").tobytes()


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site whose study has a threshold."""
    made = world.joined()
    world.launched(made, evaluation=NAMES)
    return made


def asked(world: World, rooms: Rooms, number: int = 1) -> tuple[Permit, Order]:
    """A permitted training order of a round."""
    order = world.hub.open_round(number)
    rooms.witness.step(STUDY)
    return rooms.permits.check(order, world.time.now), order


def claim(point: str | None) -> MetricClaim:
    """A report of the threshold on the validation cases."""
    value = {"value": None if point is None else Decimal(point), "low": None, "high": None}
    told = {"threshold": {**value, "n": 40, "positives": 20}}
    return MetricClaim("before_training", "validation", told)


def admit(rooms: Rooms, permit: Permit, order: Order, point: str | None) -> list[bytes]:
    """An answer that chose a threshold."""
    beside = rooms.points.beside(permit, order, {"": point})
    terms: dict[str, Any] = {"delta": DELTA, "n": 40, "steps": 10, "metrics": [claim(point)]}
    return rooms.release.admit(permit, order, **terms, together=Together(None, beside))


def test_a_threshold_is_frozen_with_the_answer_and_not_without_it(
    world: World, rooms: Rooms
) -> None:
    """An answer that stays here freezes nothing; the journal tells when it was fixed."""
    permit, order = asked(world, rooms)
    with pytest.raises(Refused):
        rooms.release.admit(
            *(permit, order),
            **{"delta": DELTA, "n": 1, "steps": 10, "metrics": []},
            together=Together(None, rooms.points.beside(permit, order, {"": "0.3"})),
        )
    assert rooms.points.at(permit) == {}

    admit(rooms, permit, order, "0.47")

    assert rooms.points.at(permit) == {"": "0.47"}
    (line,) = [row for row in rooms.journal.lines() if row["kind"] == "threshold.frozen"]
    assert line["data"]["point"] == "0.47"


def test_nothing_here_moves_a_frozen_threshold(world: World, rooms: Rooms) -> None:
    """A second choice, a restart, another version of the dataset, another round: 0.47 stays."""
    permit, order = asked(world, rooms)
    admit(rooms, permit, order, "0.47")
    with rooms.store.begin() as session:
        for act in rooms.points.beside(permit, order, {"": "0.2", "local.": "0.6"}):
            act(session)
    assert rooms.points.at(permit) == {"": "0.47", "local.": "0.6"}

    close_store(rooms.store)
    again = world.rooms()
    other = replace(permit, dataset_version=sha256_id(b"another version"))

    assert again.points.at(other) == {"": "0.47", "local.": "0.6"}
    later = order.model_copy(update={"round": 2, "model_sha256": sha256_id(b"model 2")})
    with again.store.begin() as session:
        for act in again.points.beside(other, later, {"": "0.9"}):
            act(session)
    assert again.points.at(other)[""] == "0.47"


def test_a_home_that_forgot_its_threshold_takes_it_from_the_log(world: World, rooms: Rooms) -> None:
    """A backup from before the choice: what stands in the log is used, not a new one."""
    permit, order = asked(world, rooms)
    for note in admit(rooms, permit, order, "0.47"):
        world.hub.log.take(note)
    rooms.witness.step(STUDY)
    with rooms.store.begin() as session:
        for row in table.points_of(session, STUDY):
            session.delete(row)

    state = rooms.mirror.state(STUDY)

    assert state.points == {(US, "threshold"): "0.47"}
    assert rooms.points.at(replace(permit, state=state)) == {"": "0.47"}


def test_an_answer_with_another_threshold_does_not_leave(world: World, rooms: Rooms) -> None:
    """A changed program may not tell another point than the one on record."""
    permit, order = asked(world, rooms)
    for note in admit(rooms, permit, order, "0.47"):
        world.hub.log.take(note)
    rooms.witness.step(STUDY)
    moved = replace(permit, state=rooms.mirror.state(STUDY))

    with pytest.raises(Refused) as refused:
        rooms.release._notes(moved, order, _answer(moved, "0.31"))

    assert refused.value.rule == "metric.frozen"


def _answer(permit: Permit, point: str) -> Any:
    from site_node.gate.release import Answer, _agreed

    return Answer(None, 40, _agreed(permit, [claim(point)]))


def test_a_threshold_that_is_no_hundredth_is_not_kept(world: World, rooms: Rooms) -> None:
    """A patient's own score, or a word, would stay in the store and come back."""
    permit, order = asked(world, rooms)

    for point in ("0.471382", "MUELLER", "1.5", "0.5\n"):
        with pytest.raises(Refused) as refused:
            rooms.points.beside(permit, order, {"": point})
        assert refused.value.rule == "site.failed"


def test_of_drawn_numbers_no_threshold_is_chosen(world: World, rooms: Rooms) -> None:
    """The model of the first round was not trained: any point of it would be chance."""
    permit, _ = asked(world, rooms)
    assert not rooms.points.ripe(permit)
    closed = replace(permit.state, rounds_closed=[object()])  # type: ignore[list-item]

    assert rooms.points.ripe(replace(permit, state=closed))


@pytest.mark.parametrize("field", ["label_map_sha256", "preprocessing_sha256"])
def test_another_label_map_or_preparation_is_refused_before_a_number_is_made(
    world: World, monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    """Whoever signed without looking, or was amended to it, still measures nothing of the kind.

    Wrong network, plausible numbers, two false publications (MediSwarm E2).
    """
    monkeypatch.setattr("site_node.gate.steward.findings", lambda *_: [])
    rooms = world.joined()
    task = world.charter(rooms).task.model_dump() | {field: sha256_id(b"another one")}
    world.launched(rooms, task=task)
    order = world.hub.open_round()
    rooms.witness.step(STUDY)

    with pytest.raises(Refused) as refused:
        rooms.permits.check(order, world.time.now)

    assert refused.value.rule == "recipe.terms"


def profile(images: int, ill: int, bins: list[int]) -> dict[str, Any]:
    """A dataset in numbers, as training tells it."""
    return {"images": images, "labels": {"clear": images - ill, "opacity": ill}, "bins": bins}


FLAT, DARK = [62_500] * 16, [500_000, 300_000, *[200_000 // 14] * 14]


@pytest.mark.parametrize(
    ("now", "flagged"),
    [
        (profile(300, 95, [n * 300 for n in FLAT]), []),
        (profile(300, 210, [n * 300 for n in FLAT]), ["drift.labels"]),
        (profile(300, 95, [n * 300 for n in DARK]), ["drift.light"]),
        (profile(49, 40, [n * 49 for n in DARK]), []),
    ],
)
def test_data_that_moved_from_their_registration_are_flagged(
    now: dict[str, Any], flagged: list[str]
) -> None:
    """Balance of classes, or brightness, above 0.25; too few images say nothing."""
    moved = data_moved(profile(300, 90, [n * 300 for n in FLAT]), now)

    assert [name for name, found in moved.items() if found.flagged] == flagged
    claims = with_drift([claim("0.47"), replace(claim("0.47"), phase="after_training")], moved, 120)
    told = {name for name in claims[0].values if name.startswith("drift.")}
    assert told == (set() if now["images"] < 50 else set(moved))
    assert claims[1].values == claim("0.47").values
    assert all(claims[0].values[name]["n"] == 120 for name in told)


def test_a_table_has_no_brightness_to_compare() -> None:
    """Of clinical variables only the balance of classes is told."""
    assert list(data_moved(profile(300, 90, []), profile(300, 95, []))) == ["drift.labels"]
    assert DRIFT == "quality.drift"


def test_recipes_of_the_world_are_those_of_its_charter(world: World) -> None:
    """Else the refusal above would prove nothing."""
    assert world.charter(world.joined()).recipe.sha256 == RECIPE.sha256


@pytest.mark.parametrize(
    ("field", "step"),
    [
        ("layout_sha256", "model.layout"),
        ("label_map_sha256", "model.labels"),
        ("preprocessing_sha256", "model.preparation"),
    ],
)
def test_a_file_of_another_network_label_map_or_preparation_gives_no_vector(
    field: str, step: str
) -> None:
    """`site evaluate` refuses it too: the numbers would look as good."""
    file = ModelFile({field: sha256_id(b"another one")}, {}, b"")

    with pytest.raises(NotProven) as refused:
        vector_of(file, RECIPE)

    assert refused.value.step == step
