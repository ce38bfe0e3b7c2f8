"""A study's log that nobody has any more: named, given up by a person, on record, gone for good."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import NotReady
from hub.services.given_up import FILE
from hub.wiring import Rooms as HubRooms
from tests.failover.successors import (
    LONG_AGO,
    Successor,
    follow,
    mirror_of,
    mirrors,
    roots,
    settle,
    studied,
    takeover,
)
from tests.house import House


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """Two studies are listed; the hub is lost before anybody mirrored the second one's log."""
    made = House(tmp_path / "town", capsys)
    first = studied(made)
    charter = made.propose(title="Another opacity")
    for rooms in made.sites.values():
        rooms.look_at_consortium()
        rooms.steward.approve(made.study, None, None)
    made.hub.charters.launch(charter)
    for rooms in made.sites.values():
        rooms.look_at_consortium()
    made.lost, made.study = made.study, first  # type: ignore[attr-defined]
    return made


@pytest.fixture
def successor(house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Successor:
    """A rebuilt hub that lacks a log."""
    made = Successor(house, tmp_path / "successor", capsys)
    told = made.hub.rebuilding.rebuild(mirrors(house, tmp_path / "mirrors"), LONG_AGO)
    assert told.missing == [house.lost]  # type: ignore[attr-defined]
    return made


def asked(house: House, successor: Successor, folder: Path, *words: str) -> int:
    """`hub resume` with the hospitals' mirrors."""
    found = [folder / name for name in house.sites]
    source = [word for path in found for word in ("--from", str(path))]
    return main(["hub", "resume", *source, "--home", str(successor.home), *words])


def erasures(hub: HubRooms) -> int:
    """How often the hub said that records are gone."""
    return len(hub.ledger.events("consortium", "erasure.done"))


def test_a_hub_that_lacks_a_log_says_what_to_do_and_serves_nothing(
    house, successor, tmp_path, capsys
):
    """Its absence may be an attack: a person decides, and the sentence names the way out."""
    assert asked(house, successor, tmp_path / "mirrors") == 2
    assert f"consilium hub resume --from DIR --without {house.lost}" in capsys.readouterr().out
    with pytest.raises(NotReady, match="Nothing is served"):
        successor.again().ready()


def test_only_what_is_missing_can_be_given_up(house, successor, tmp_path, capsys, monkeypatch):
    """Neither a log that is here nor an invented one; and not without a yes."""
    for study in (house.study, "0" * 16):
        assert asked(house, successor, tmp_path / "mirrors", "--yes", "--without", study) == 2
        assert f"Missing: {house.lost}." in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert asked(house, successor, tmp_path / "mirrors", "--without", house.lost) != 0
    assert not (successor.home / FILE).exists()


def test_what_was_given_up_is_on_record_once_the_successor_may_speak(
    house, successor, tmp_path, capsys
):
    """Served at once; said in the consortium's log after the takeover, once, as gone and closed."""
    words = ("--yes", "--without", house.lost)
    assert asked(house, successor, tmp_path / "mirrors", *words) == 0
    hub = successor.again()
    assert hub.held.mark() is None
    hub.ready()
    assert erasures(hub) == 0

    for rooms in [follow(rooms, successor) for rooms in house.sites.values()]:
        takeover(rooms, successor.again())
    for _ in range(2):
        hub = successor.again()
        hub.ready()

    state = hub.ledger.consortium()
    listed = next(row for row in state.studies.values() if row.origin.endswith(house.lost))
    assert erasures(hub) == 1
    assert listed.closed is not None


def test_a_copy_that_turns_up_later_is_not_taken_in(house, successor, tmp_path, capsys):
    """This is the point of no return: what was called lost stays lost."""
    words = ("--yes", "--without", house.lost)
    assert asked(house, successor, tmp_path / "mirrors", *words) == 0
    for rooms in house.sites.values():
        assert rooms.witness.step(house.lost).outcome == "cosigned"
    assert main(["hub", "hold", "--home", str(successor.home)]) == 0
    later = mirrors(house, tmp_path / "later")

    told = successor.again().rebuilding.resume(later)

    assert house.lost not in told.sizes
    assert told.missing == []


def test_giving_up_again_after_a_cut_is_no_error(house, successor, tmp_path, capsys):
    """Killed after it was written down: the same command ends."""
    state = house.hub.ledger.consortium()
    charter = next(key for key, row in state.studies.items() if row.origin.endswith(house.lost))
    successor.hub.held.given_up.add([charter])

    words = ("--yes", "--without", house.lost)
    assert asked(house, successor, tmp_path / "mirrors", *words) == 0
    assert successor.again().held.mark() is None


def test_a_study_that_was_destroyed_is_not_missed_and_does_not_come_back(house, tmp_path, capsys):
    """The record says that it is gone: a rebuild neither waits for it nor takes it."""
    for rooms in house.sites.values():
        rooms.witness.step(house.lost)
    kept = mirrors(house, tmp_path / "with")
    charter = house.hub.ledger.state(house.lost).charter_id
    body = {"what": "study_records", "commitment": charter}
    house.hub.ledger.say("consortium", "erasure.done", body)
    settle(house)
    folders = [mirror_of(rooms, tmp_path / name) for name, rooms in house.sites.items()]
    for folder, older in zip(folders, kept, strict=True):
        assert (older / house.lost).is_dir()
        assert (folder / house.lost).is_dir()

    made = Successor(house, tmp_path / "other", capsys)
    told = made.hub.rebuilding.rebuild(folders, LONG_AGO)

    assert (told.missing, told.lacking) == ([], {})
    assert set(roots(made.hub)) == {"consortium", house.study}
    made.again().ready()


def test_a_damaged_list_is_no_way_in(house, successor):
    """Whoever spoils the file gets a sentence, and nothing is served."""
    (successor.home / FILE).write_text("{")

    with pytest.raises(NotReady, match="cannot be read"):
        successor.again().ready()
