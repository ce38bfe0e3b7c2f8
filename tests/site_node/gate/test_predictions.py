"""The book of predictions: counts by day, and whether the images have moved; no patient in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from site_node.gate.drift import FEWEST, FLAGGED, labels_moved, light_moved, stability
from site_node.gate.neighbours import predictions as doctor
from site_node.gate.predictions import prediction_lines
from site_node.store import predictions as table
from site_node.store.predictions import PredictionReferenceRow
from site_node.store.wiping import forget
from site_node.wiring import Rooms
from tests.site_node.gate.world import World

MODEL = "sha256:" + "ab" * 32
DARK, BRIGHT = [900_000, 100_000, *[0] * 14], [*[0] * 14, 100_000, 900_000]


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site with a model whose dataset was half normal and dark."""
    made = world.joined(founded=False)
    row = PredictionReferenceRow(
        model=MODEL, study="00112233445566aa", dataset="chest", version="sha256:1", images=100,
        labels=json.dumps({"normal": 50, "pneumonia": 50}),
        bins=json.dumps([100 * share for share in DARK]), points="{}",
    )  # fmt: skip
    with made.store.begin() as session:
        table.keep_reference(session, row)
    return made


def predicted(rooms: Rooms, classes: str, *, light: list[int], day: str = "2026-11-22") -> None:
    """As many images as letters, `n` for normal and `p` for pneumonia."""
    with rooms.store.begin() as session:
        for number, letter in enumerate(classes):
            word = {"n": "normal", "p": "pneumonia"}[letter]
            table.count(session, MODEL, day, f"{day}/{number}", f"{day}T09:00:00Z", [word])
            table.add_light(session, MODEL, day, light)


def test_the_index_is_that_of_the_textbook() -> None:
    """Equal shapes are 0; a worked example; it does not matter which side is which."""
    assert stability([10, 20, 30], [20, 40, 60]) == pytest.approx(0, abs=1e-3)
    # 0.5/0.5 against 0.2/0.8: (0.2-0.5)·ln(0.4) + (0.8-0.5)·ln(1.6) = 0.4159
    assert stability([5e5, 5e5], [2e5, 8e5]) == pytest.approx(0.4159, abs=1e-4)
    assert stability([1, 9], [8, 2]) == pytest.approx(stability([8, 2], [1, 9]))
    assert stability([100, 0], [100, 0]) == 0


def test_too_few_images_say_nothing() -> None:
    """Chance alone would be flagged."""
    few, many = (100, FEWEST - 1), (100, FEWEST)

    assert labels_moved({"a": 100}, {"b": 49}, few).index is None
    assert labels_moved({"a": 100}, {"b": 50}, many).flagged
    assert light_moved(DARK, BRIGHT, few).index is None
    assert not light_moved([n * 100 for n in DARK], [n * 50 for n in DARK], many).flagged


def test_counts_are_told_by_model_day_and_class(rooms: Rooms) -> None:
    """Only the last days; the same key is counted once by whoever counts."""
    predicted(rooms, "nnp", light=DARK)
    predicted(rooms, "p", light=DARK, day="2026-11-20")
    predicted(rooms, "p", light=DARK, day="2026-10-01")

    told = rooms.predictions.told(30)

    assert [(row["images"], row["classes"]) for row in told] == [(4, {"normal": 2, "pneumonia": 2})]
    assert told[0]["days"] == {
        "2026-11-20": {"pneumonia": 1}, "2026-11-22": {"normal": 2, "pneumonia": 1},
    }  # fmt: skip
    text = "\n".join(prediction_lines(told, 30))
    assert "normal 2, pneumonia 2" in text
    assert "not judged" in text
    assert "Nothing was predicted" in prediction_lines([], 30)[0]


def test_classes_that_moved_are_flagged_with_a_fix(rooms: Rooms) -> None:
    """The doctor is not well, and says where to look."""
    predicted(rooms, "np" * 30, light=DARK)
    assert doctor(rooms.patient).well

    predicted(rooms, "p" * 140, light=DARK, day="2026-11-21")
    found = doctor(rooms.patient)

    assert (found.code, found.well) == ("prediction_drift", False)
    assert "classes" in found.finding
    assert "consilium site predictions" in found.fix
    assert rooms.predictions.told()[0]["labels"]["index"] > FLAGGED
    assert "MOVED" in "\n".join(prediction_lines(rooms.predictions.told(), 30))


def test_brightness_that_moved_is_flagged(rooms: Rooms) -> None:
    """A new scanner shows before anybody counts findings."""
    predicted(rooms, "np" * 30, light=BRIGHT)

    told = rooms.predictions.told()[0]

    assert (told["labels"]["flagged"], told["light"]["flagged"]) == (False, True)
    assert "brightness" in doctor(rooms.patient).finding


def test_a_frozen_reference_does_not_move(rooms: Rooms) -> None:
    """The first one stays, whoever comes later."""
    with rooms.store.begin() as session:
        table.keep_reference(session, PredictionReferenceRow(
            model=MODEL, study="x", dataset="", version="", images=0, labels="{}", bins="[]",
            points='{"pneumonia": 0.9}',
        ))  # fmt: skip
    with rooms.store() as session:
        found = table.find_reference(session, MODEL)

    assert found is not None
    assert (found.dataset, found.points) == ("chest", "{}")


def test_what_was_counted_is_forgotten_with_the_objects(rooms: Rooms) -> None:
    """Wiping takes the stand-ins of single images; the sums of days stay."""
    predicted(rooms, "np", light=DARK)

    forget(rooms.store)

    with rooms.store() as session:
        assert table.done_at(session, "2026-11-22/0") is None
        assert len(table.counts_since(session, "2026-01-01")) == 2


def test_a_doctor_without_predictions_is_well(world: World, tmp_path: Path) -> None:
    """Most sites never use a model."""
    assert doctor(world.joined(founded=False).patient).well
