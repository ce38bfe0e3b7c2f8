"""Whoever says to be the successor and is not: by commands, with exit codes and one sentence."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from compliance.command import main
from compliance.signing.keys import SigningKey
from hub.main import create_app
from hub.wiring import Rooms as HubRooms
from site_node.settings import load_settings
from site_node.wiring import Rooms
from tests.failover.successors import (
    ADDRESS,
    LONG_AGO,
    Successor,
    client_of,
    mirror_of,
    mirrors,
    reached,
    roots,
    settle,
    studied,
    twin_of,
)
from tests.house import House
from tests.site_node.gate.world import InProcess

NORTH, SOUTH = "north.example", "south.example"
STOP = {"reason": "operator", "on_behalf": None}


class Town:
    """A house and whoever says to be its hub; commands reach whichever was named last.

    Args:
        house: hub and hospitals.
        capsys: what commands print.
        monkeypatch: puts the way to a hub in the place of the network.
    """

    def __init__(
        self, house: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.house, self._capsys, self._patch = house, capsys, monkeypatch

    def lead_to(self, hub: HubRooms) -> None:
        """From now on the network leads every hospital to this hub."""
        app = create_app(hub)

        def http(*_: object) -> httpx.Client:
            return httpx.Client(transport=InProcess(app), base_url=ADDRESS)

        self._patch.setattr("site_node.rooms.ground.open_http", http)
        self._patch.setattr("site_node.following_cli.Connections", lambda: reached(hub, http()))

    def do(self, *words: str) -> tuple[int, str]:
        """Run a command; returns how it ended and what it said to people."""
        self._capsys.readouterr()
        code = main([*words])
        out, err = self._capsys.readouterr()
        return code, err if code else out

    def at(self, site: str, *words: str) -> tuple[int, str]:
        """Run a command at a hospital."""
        home = str(self.house.sites[site].settings.home)
        return self.do("site", *words, "--home", home)

    def follow(self, site: str, hub: HubRooms) -> tuple[int, str]:
        """A hospital is told the code of this hub and is led there."""
        self.lead_to(hub)
        return self.at(site, "follow", hub.members.follow_code(), "--yes")


@pytest.fixture
def house(house: House) -> House:
    """The same, and it is today, as for commands."""
    house.time.now = datetime.now(UTC)
    return house


@pytest.fixture
def town(house, capsys, monkeypatch) -> Town:
    """The same at the command line."""
    return Town(house, capsys, monkeypatch)


@pytest.fixture
def successor(successor: Successor, house: House, tmp_path: Path) -> Successor:
    """A new hub of the same name, rebuilt from both mirrors."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path / "mirrors"), LONG_AGO)
    return successor


def settings_of(house: House, site: str) -> tuple[bytes, ...]:
    """What following would change."""
    home = house.sites[site].settings.home
    return tuple((home / name).read_bytes() for name in ("site.toml", "ca.pem", "signers.yaml"))


def one_sentence(said: str) -> bool:
    """A person is told what is wrong, without a stack and without a list."""
    return bool(said) and "Traceback" not in said and said.strip().count("\n") <= 1


def test_a_history_that_is_shorter_is_not_followed(house, town, successor):
    """A hospital saw one more entry than the mirrors from which the successor was made."""
    house.hub.ledger.say(house.study, "study.stopped", STOP)
    settle(house)
    before = settings_of(house, NORTH)

    code, said = town.follow(NORTH, successor.hub)

    assert code == 1
    assert "knows less" in said
    assert one_sentence(said)
    assert settings_of(house, NORTH) == before


@pytest.mark.parametrize("further", [0, 1])
def test_a_history_that_parts_from_the_hospitals_is_not_followed(house, town, tmp_path, further):
    """As long or longer, by the lost hub's true keys: another last entry is another history."""
    thief = twin_of(house, tmp_path / "thief")
    house.hub.ledger.say(house.study, "study.stopped", STOP)
    settle(house)
    thief.ledger.say(house.study, "study.closed", {"reason": "abandoned", "on_behalf": None})
    for _ in range(further):
        body = {"what": "sealed", "commitment": None}
        thief.ledger.say(house.study, "erasure.done", body)
    thief.ledger.checkpoint(house.study, latest=True)
    before = settings_of(house, NORTH)

    code, said = town.follow(NORTH, thief)

    assert code == 1, said
    assert "another history" in said
    assert one_sentence(said)
    assert settings_of(house, NORTH) == before


def test_a_history_signed_with_another_log_key_is_not_followed(house, town, tmp_path, capsys):
    """A hub of the same name, with members and studies of the same names, begun anew."""
    other = House(tmp_path / "other", capsys)
    studied(other)
    other.time.now = house.time.now
    assert other.study == house.study
    before = settings_of(house, NORTH)

    code, said = town.follow(NORTH, other.hub)

    assert code == 1, said
    assert one_sentence(said)
    assert settings_of(house, NORTH) == before


def test_a_hub_of_another_name_is_not_followed(house, town, tmp_path):
    """Another origin is another consortium."""
    home = tmp_path / "elsewhere"
    words = ("--name", "elsewhere.example", "--address", ADDRESS, "--home", str(home))
    assert town.do("hub", "init", *words)[0] == 0
    other = Successor.opened(home, house)
    before = settings_of(house, NORTH)

    code, said = town.follow(NORTH, other)

    assert code == 2
    assert "elsewhere.example" in said
    assert one_sentence(said)
    assert settings_of(house, NORTH) == before


def test_one_signature_of_two_hands_the_log_to_nobody(house, town, successor):
    """The key goes on waiting, and the hospital's own words wait with it."""
    assert town.follow(NORTH, successor.hub)[0] == 0
    code, said = town.at(NORTH, "takeover", "--yes")
    assert (code, said.count(": open")) == (0, 4), said

    assert town.do("hub", "successor", "--home", str(successor.home))[0] == 0
    assert "The hub is told when it answers." in town.at(NORTH, "withdraw", house.study)[1]
    assert len(successor.hub.rebuilding.takeover()) == 4


def test_a_signature_for_another_successor_helps_nobody_else(
    house, town, successor, tmp_path, capsys
):
    """Both hospitals signed for the first one: the second, of the same logs, gets nothing."""
    second = Successor(house, tmp_path / "second", capsys)
    second.hub.rebuilding.rebuild(mirrors(house, tmp_path / "again"), LONG_AGO)
    for site in (NORTH, SOUTH):
        assert town.follow(site, successor.hub)[0] == 0
        assert town.at(site, "takeover", "--yes")[0] == 0
    for log in successor.hub.ledger.logs():
        size = second.hub.ledger.size(log)
        for note in successor.hub.ledger.entries(log, size):
            second.hub.ledger.append(log, note)

    code, said = town.do("hub", "successor", "--home", str(second.home))
    with pytest.raises(Exception, match="not in force"):
        second.hub.ledger.say(house.study, "study.stopped", STOP)

    assert code == 0
    assert said.count("hub.example/events+") == 2
    assert successor.again().rebuilding.takeover() == []


@pytest.mark.parametrize("swap", ["events", "node"])
def test_a_takeover_for_a_key_that_nobody_told_is_not_signed(
    house, town, successor, monkeypatch, swap
):
    """The code named the successor's key; a list with another one, or a hospital's, is refused."""
    assert town.follow(NORTH, successor.hub)[0] == 0
    names = {"events": "hub.example/events", "node": f"{SOUTH}/node"}
    key = SigningKey.generate(names[swap])
    row = {"log": house.study, "name": key.name, "vkey": str(key.verifier)}
    monkeypatch.setattr(successor.hub.rebuilding, "takeover", lambda: [row])

    code, said = town.at(NORTH, "takeover", "--yes")

    assert code == 1, said
    assert one_sentence(said)
    assert successor.hub.motions.all() == []


def test_after_a_takeover_another_rebuilt_hub_is_behind(house, town, successor, tmp_path, capsys):
    """Two administrators rebuilt at once: the hospitals chose, and the other one knows less."""
    second = Successor(house, tmp_path / "second", capsys)
    second.hub.rebuilding.rebuild(mirrors(house, tmp_path / "again"), LONG_AGO)
    for site in (NORTH, SOUTH):
        assert town.follow(site, successor.hub)[0] == 0
        assert town.at(site, "takeover", "--yes")[0] == 0
    with Rooms(load_settings(house.sites[NORTH].settings.home), house.time) as rooms:
        for log in successor.hub.ledger.logs():
            assert rooms.witness.step(log).outcome == "cosigned"

    code, said = town.follow(NORTH, second.hub)

    assert code == 1, said
    assert "knows less" in said
    assert one_sentence(said)


def test_one_flipped_byte_in_any_file_of_a_mirror_changes_nothing(house, town, tmp_path, capsys):
    """Either the rebuild names it and writes nothing, or the byte was not believed anyway."""
    empty = Successor(house, tmp_path / "empty", capsys)
    empty.hub.database.engine.dispose()
    folders = mirrors(house, tmp_path / "mirrors")
    words = [word for folder in folders for word in ("--from", str(folder))]
    refused = set()
    for path in sorted(path for path in folders[0].rglob("*") if path.is_file()):
        true = path.read_bytes()
        data = bytearray(true)
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        home = Path(shutil.copytree(empty.home, tmp_path / "home"))

        code, said = town.do("hub", "rebuild", *words, "--lost", LONG_AGO, "--home", str(home))

        path.write_bytes(true)
        made = Successor.opened(home, house)
        assert roots(made) == ({} if code else roots(house.hub)), path
        if code:
            refused.add(path.relative_to(folders[0]).as_posix())
            assert one_sentence(said), said
        made.database.engine.dispose()
        shutil.rmtree(home)

    assert {"mirror.note", f"{house.study}/checkpoint.latest"} <= refused
    assert any(name.startswith("consortium/tile/entries/") for name in refused)


def test_two_mirrors_of_two_histories_are_named_and_nothing_is_made(house, town, tmp_path, capsys):
    """The lost hub told two hospitals two things: both folders are named, the end is 1."""
    twin = twin_of(house, tmp_path / "twin")
    house.hub.ledger.say(house.study, "study.stopped", STOP)
    house.time.forward(seconds=6)
    assert house.sites[NORTH].witness.step(house.study).outcome == "cosigned"
    north = mirror_of(house.sites[NORTH], tmp_path / "north")
    twin.ledger.say(house.study, "study.closed", {"reason": "abandoned", "on_behalf": None})
    house.time.forward(seconds=6)
    house.sites[SOUTH].hub = client_of(house.sites[SOUTH], twin)
    assert house.sites[SOUTH].witness.step(house.study).outcome == "cosigned"
    south = mirror_of(house.sites[SOUTH], tmp_path / "south")
    made = Successor(house, tmp_path / "successor", capsys)
    words = ("--from", str(north), "--from", str(south), "--lost", LONG_AGO)

    code, said = town.do("hub", "rebuild", *words, "--home", str(made.home))

    assert code == 1
    assert str(north) in said
    assert str(south) in said
    assert one_sentence(said)
    assert made.again().ledger.logs() == []


def test_a_checkpoint_of_another_history_in_a_mirror_is_named(house, town, tmp_path, capsys):
    """Signed by the lost hub's true key and as long as the entries: it is not theirs."""
    twin = twin_of(house, tmp_path / "twin")
    house.hub.ledger.say(house.study, "study.stopped", STOP)
    settle(house)
    twin.ledger.say(house.study, "study.closed", {"reason": "abandoned", "on_behalf": None})
    folder = mirror_of(house.sites[NORTH], tmp_path / "north")
    path = folder / house.study / "checkpoint.latest"
    other = twin.ledger.checkpoint(house.study, latest=True)
    assert other.split(b"\n")[1] == path.read_bytes().split(b"\n")[1]
    path.write_bytes(other)
    made = Successor(house, tmp_path / "successor", capsys)
    words = ("--from", str(folder), "--lost", LONG_AGO, "--home", str(made.home))

    code, said = town.do("hub", "rebuild", *words)

    assert code == 1, said
    assert str(folder / house.study) in said
    assert one_sentence(said)
    assert made.again().ledger.logs() == []
