"""Training goes on at a successor: the newest model comes back to the last bit, or is missed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compliance.command import main
from hub.federation.aggregation.again import aggregated
from hub.wiring import Rooms as HubRooms
from tests.failover.successors import mirror_of, settle
from tests.house import House

LONG_AGO = "2026-01-01T00:00:00Z"


def kept(house: House, out: Path) -> list[Path]:
    """What `consilium site mirror --weights` writes at every hospital."""
    folders = []
    for name, rooms in house.sites.items():
        folders.append(mirror_of(rooms, out / name))
        rooms.weights.write(out / name)
    return folders


def taken(hub: HubRooms, folders: list[Path]) -> list[str]:
    """Rebuild, and look for models; returns the open studies without one."""
    hub.rebuilding.rebuild(folders, LONG_AGO)
    hub.weights(aggregated).take(folders)
    return hub.runs.without_model()


def test_the_newest_model_is_made_again_from_the_hospitals_updates(house, successor, tmp_path):
    """The hub died after a round was closed: nobody was given its model, and it comes back."""
    newest = house.hub.ledger.state(house.study).model_sha256
    was = house.hub.registry.read(house.study, newest)

    assert taken(successor.hub, kept(house, tmp_path / "kept")) == []

    assert successor.hub.registry.read(house.study, newest) == was
    assert house.study in successor.hub.runs.wanted()


def test_a_later_round_goes_on_from_the_model_that_a_hospital_was_given(house, successor, tmp_path):
    """The base of the last round is no start model: one hospital that has it is enough."""
    house.close_round()
    settle(house)
    newest = house.hub.ledger.state(house.study).model_sha256
    folders = kept(house, tmp_path / "kept")
    shutil.rmtree(folders[0] / house.study / "models")

    assert taken(successor.hub, folders) == []

    was = house.hub.registry.read(house.study, newest)
    assert successor.hub.registry.read(house.study, newest) == was


def test_the_model_of_an_open_round_lies_at_every_hospital(house, successor, tmp_path):
    """The hub died in a round: the model was sent out with the order."""
    state = house.hub.ledger.state(house.study)
    values = house.hub.registry.read(house.study, state.model_sha256)
    house.sites["north.example"].weights.keep(house.study, state.model_sha256, values)
    folders = kept(house, tmp_path / "kept")
    for folder in folders:
        shutil.rmtree(folder / house.study / "updates")

    assert taken(successor.hub, folders) == []


def test_a_study_without_a_round_begins_with_the_same_start_model(
    house, successor, tmp_path, capsys
):
    """The start model follows from the recipe and the study's id: no hospital needs to have it."""
    study = house.launch(title="Another opacity")
    settle(house)

    assert study not in taken(successor.hub, kept(house, tmp_path / "kept"))

    first = house.hub.ledger.state(study).model_sha256
    assert successor.hub.registry.read(study, first) == house.hub.registry.read(study, first)


def test_a_changed_recipe_comes_back_with_the_hospitals(house, successor, tmp_path):
    """A recipe with a researcher's changes stands in no log but by its hash."""
    recipe = {"id": "cnn2d-small", "changes": {"local": {"epochs": 2}}}
    study = house.launch(title="Another opacity", recipe=recipe)
    settle(house)
    folders = kept(house, tmp_path / "kept")

    assert study not in taken(successor.hub, folders)

    sha256 = house.hub.ledger.state(study).charter.recipe.sha256
    assert successor.hub.catalogue.recipe(sha256).local.epochs == 2


@pytest.mark.parametrize("lack", ["models", "updates"])
def test_a_model_that_nobody_has_is_missed_and_no_round_is_opened(house, successor, tmp_path, lack):
    """One flipped byte in each copy: nothing is taken for the model, and no run begins."""
    house.close_round()
    settle(house)
    folders = kept(house, tmp_path / "kept")
    damaged = [path for folder in folders for path in (folder / house.study / lack).iterdir()]
    for path in damaged:
        data = bytearray(path.read_bytes())
        data[5] ^= 1
        path.write_bytes(data)

    assert taken(successor.hub, folders) == [house.study]

    assert successor.hub.runs.wanted() == []
    assert damaged


def test_models_may_come_later(house, successor, tmp_path, capsys):
    """The commands name the study without a model and what to ask for; later folders help."""
    bare = [mirror_of(rooms, tmp_path / name) for name, rooms in house.sites.items()]
    home = ["--home", str(successor.home)]
    words = [word for folder in bare for word in ("--from", str(folder))]

    assert main(["hub", "rebuild", *words, "--lost", LONG_AGO, *home]) == 0
    said = capsys.readouterr().out
    assert f"{house.study}: its newest model is not here, so no round is opened." in said
    assert "consilium site mirror --out DIR --weights" in said

    words = [word for folder in kept(house, tmp_path / "kept") for word in ("--from", str(folder))]
    assert main(["hub", "resume", *words, *home]) == 0
    assert "The newest model of every open study is here." in capsys.readouterr().out
    assert successor.again().runs.wanted() == [house.study]
    assert main(["hub", "resume", *words, *home]) == 2


def test_a_mirror_without_the_word_holds_no_weights(house, tmp_path):
    """Mirrors go to auditors too: weights leave only when a person says so."""
    home = house.sites["north.example"].settings.home

    assert main(["site", "mirror", "--out", str(tmp_path / "out"), "--home", str(home)]) == 0
    assert not list((tmp_path / "out").rglob("*.f32"))

    with_them = ["site", "mirror", "--weights", "--out", str(tmp_path / "out")]
    assert main([*with_them, "--home", str(home)]) == 0
    assert len(list((tmp_path / "out").rglob("*.f32"))) == 2


def test_a_destroyed_study_leaves_no_model_behind(house):
    """The end of retention reaches the model that was kept for a successor."""
    north = house.sites["north.example"]
    folder = north.settings.home / "models" / house.study
    assert list(folder.iterdir())

    house.time.forward(days=4000)
    north.destruction.destroy(house.study)

    assert not folder.exists()
