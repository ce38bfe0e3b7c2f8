"""Data that moved from the charter's version: the doctor says so while it matters, then no more."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from site_node.gate import neighbours
from site_node.gate.check import Check
from site_node.gate.drift import DRIFT
from site_node.wiring import Rooms
from tests.site_node.gate.world import STUDY, US, World

NEWER, NEWEST = "sha256:" + "2" * 64, "sha256:" + "3" * 64
LABELS = {"index": 0.412, "flagged": True}
LIGHT = {"index": 0.031, "flagged": False}


@pytest.fixture
def rooms(world: World) -> Rooms:
    """A site whose study goes on."""
    made = world.joined()
    world.launched(made)
    return made


def looked(rooms: Rooms, in_force: str | None, **changes: Any) -> Check:
    """The doctor's row while this version of the dataset is in force."""
    versions = {} if in_force is None else {(US, "chest"): in_force}
    state = replace(rooms.mirror.state(STUDY), dataset_versions=versions, **changes)
    mirror: Any = SimpleNamespace(state=lambda study: state, heads=rooms.mirror.heads)
    return neighbours.data(replace(rooms.patient, mirror=lambda: mirror))


def moved(rooms: Rooms, version: str, **found: Any) -> None:
    """A training that found the data moved."""
    told = {"drift.labels": LABELS, "drift.light": LIGHT} | found
    rooms.journal.write(DRIFT, study=STUDY, dataset="chest", version=version, moved=told)


def test_a_quiet_journal_is_well(rooms: Rooms) -> None:
    """Nothing was flagged."""
    assert looked(rooms, NEWER).well


def test_moved_data_are_named_with_what_to_do(rooms: Rooms) -> None:
    """Which dataset, what of it, against what, and whom to speak with."""
    moved(rooms, NEWER)

    found = looked(rooms, NEWER)

    assert (found.code, found.well) == ("data_drift", False)
    assert "Dataset chest: the shares of the classes have moved" in found.finding
    assert "brightness" not in found.finding
    assert STUDY in found.finding
    assert "import the right files" in found.fix


@pytest.mark.parametrize("in_force", [NEWEST, None])
def test_another_version_in_force_ends_the_warning(rooms: Rooms, in_force: str | None) -> None:
    """Registered anew, or taken into an amended charter."""
    moved(rooms, NEWER)

    assert looked(rooms, in_force).well


@pytest.mark.parametrize("over", [{"closed": "done"}, {"stopped": 7}])
def test_a_study_that_is_over_warns_nobody(rooms: Rooms, over: dict[str, Any]) -> None:
    """Its data train nothing any more."""
    moved(rooms, NEWER)

    assert looked(rooms, NEWER, **over).well


def test_a_study_whose_copy_was_destroyed_here_warns_nobody(rooms: Rooms) -> None:
    """Its log is gone and lines of the journal stay: that is no trouble of this site."""
    moved(rooms, NEWER)
    rooms.journal.write(DRIFT, study="gone", dataset="chest", version=NEWER, moved={})

    assert looked(rooms, NEWEST).well
    assert neighbours.data(rooms.patient).well


def test_a_line_of_an_older_release_has_no_version_and_says_nothing(rooms: Rooms) -> None:
    """It cannot be told whether that version is still in force; the next training writes anew."""
    rooms.journal.write(DRIFT, study=STUDY, dataset="chest", moved={"drift.labels": LABELS})

    assert looked(rooms, NEWER).well
    assert looked(rooms, None).well
