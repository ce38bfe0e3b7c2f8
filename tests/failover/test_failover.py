"""The hub is lost, or comes back from an old backup: nothing is lost, nothing is made twice."""

from __future__ import annotations

import pytest

from compliance.command import main
from compliance.errors import NotProven, NotReady, Refused
from compliance.report.heads import FILE
from hub.services.held import READ_ONLY
from site_node.gate.following import read_code
from site_node.gate.joining import Connections
from tests.failover.successors import (
    SALT,
    client_of,
    follow,
    mirror_of,
    mirrors,
    roots,
    taken_over,
    takeover,
    twin_of,
)

LONG_AGO, LATER = "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"


def test_a_lost_hub_is_made_again_from_the_hospitals_mirrors(house, successor, tmp_path):
    """Every log has the size and root that it had; hospitals, data and charter are listed."""
    told = successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)

    assert roots(successor.hub) == roots(house.hub)
    assert told.lacking == {}
    assert told.hospitals == sorted(house.sites)
    assert successor.hub.members.standings() == house.hub.members.standings()
    was, now = house.hub.catalogue.datasets(), successor.hub.catalogue.datasets()
    assert [row["version"] for row in now] == [row["version"] for row in was]
    assert successor.hub.charters.get(house.hub.ledger.state(house.study).charter_id)
    successor.again().ready()


def test_a_quorum_that_was_reached_is_still_one(house, successor, tmp_path):
    """The cosignatures travel with the mirrors; an auditor finds the same checkpoint."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)

    for log in house.hub.ledger.logs():
        assert successor.hub.ledger.checkpoint(log) == house.hub.ledger.checkpoint(log)


def test_a_rebuilt_hub_says_nothing_before_the_takeover(house, successor, tmp_path):
    """Its keys are in force nowhere: neither its own words nor those of hospitals are taken."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)
    before = roots(successor.hub)

    stop = {"reason": "operator", "on_behalf": None}
    with pytest.raises(Refused) as refusal:
        successor.hub.ledger.say(house.study, "study.stopped", stop)

    assert refusal.value.rule == READ_ONLY
    assert roots(successor.hub) == before


def test_a_mirror_with_an_edited_entry_is_refused(house, successor, tmp_path):
    """One byte of one entry, anywhere: nothing is written."""
    folders = mirrors(house, tmp_path)
    tile = next((folders[0] / house.study / "tile" / "entries").rglob("*.p/*"))
    data = bytearray(tile.read_bytes())
    place = data.find(b'"round":1')
    data[place + 8 : place + 9] = b"2"
    tile.write_bytes(data)

    with pytest.raises(NotProven) as finding:
        successor.hub.rebuilding.rebuild(folders, LONG_AGO)

    assert "entry" in str(finding.value)
    assert successor.hub.ledger.logs() == []


def test_two_histories_in_two_mirrors_are_a_fork_and_named(house, successor, tmp_path):
    """The old hub told two hospitals two things: people decide, no program does."""
    stop = {"reason": "operator", "on_behalf": None}
    twin = twin_of(house, tmp_path / "twin")
    north = house.sites["north.example"]
    south = house.rooms_of(house.sites["south.example"].settings.home, "south.example", SALT)
    south.hub = client_of(south, twin)
    for hub, rooms in ((house.hub, north), (twin, south)):
        hub.ledger.say(house.study, "study.stopped", stop)
        assert rooms.witness.step(house.study).outcome == "cosigned"
    folders = [mirror_of(rooms, tmp_path / str(rooms.settings.site)) for rooms in (north, south)]

    with pytest.raises(NotProven) as finding:
        successor.hub.rebuilding.rebuild(folders, LONG_AGO)

    assert finding.value.step == "fork"
    assert all(str(folder) in str(finding.value) for folder in folders)
    assert successor.hub.ledger.logs() == []


def test_a_mirror_made_before_the_loss_is_no_voice(house, successor, tmp_path):
    """What a hospital knew last week does not say that nothing came after."""
    told = successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LATER)

    assert set(told.lacking) == {"consortium", house.study}
    with pytest.raises(Refused) as refusal:
        successor.hub.ledger.append("consortium", b"whatever")
    assert refusal.value.rule == READ_ONLY


def test_nobody_speaks_for_another_hospitals_mirror(house, successor, tmp_path):
    """A statement in another's name is no voice, and is named."""
    folders = mirrors(house, tmp_path)
    words = (folders[0] / FILE).read_bytes().replace(b"north.example\n", b"south.example\n", 1)
    (folders[0] / FILE).write_bytes(words)

    with pytest.raises(NotProven) as finding:
        successor.hub.rebuilding.rebuild(folders, LONG_AGO)

    assert finding.value.step == "mirror"


def test_a_hub_that_has_logs_is_not_rebuilt_over(house, tmp_path):
    """A living hub is not the place for it."""
    with pytest.raises(NotReady):
        house.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)


def test_a_rebuild_that_is_interrupted_leaves_nothing(house, successor, tmp_path, monkeypatch):
    """Killed after the first log: no log at all, and no word may be said."""
    folders = mirrors(house, tmp_path)
    monkeypatch.setattr("hub.services.rebuild.index_charter", _cut)

    with pytest.raises(KeyboardInterrupt):
        successor.hub.rebuilding.rebuild(folders, LONG_AGO)

    assert successor.again().ledger.logs() == []
    assert successor.again().held.holds("consortium")
    monkeypatch.undo()
    again = successor.again()
    again.rebuilding.rebuild(folders, LONG_AGO)
    assert roots(again) == roots(house.hub)


def _cut(*_: object) -> None:
    raise KeyboardInterrupt


def test_any_member_can_carry_on(house, successor, tmp_path):
    """The hub is lost: with the hospitals' signatures the same log goes on, root unchanged."""
    before = roots(house.hub)

    moved = taken_over(house, successor, tmp_path)

    assert successor.hub.rebuilding.takeover() == []
    for log, (size, root) in before.items():
        assert successor.hub.ledger.state_of(log).tree.root(size) == root
    house.time.forward(seconds=6)
    for rooms in moved:
        for log in before:
            assert rooms.witness.step(log).outcome in ("cosigned", "mirrored"), log
            assert not rooms.mirror.alarms(log)
    assert all(successor.hub.ledger.checkpoint(log) for log in before)
    stop = {"reason": "operator", "on_behalf": None}
    index = successor.hub.ledger.say(house.study, "study.stopped", stop).index
    assert index == before[house.study][0] + 2
    successor.again().ready()


def test_one_hospital_alone_hands_the_log_to_nobody(house, successor, tmp_path):
    """Half of the institutions is not most of them: the successor goes on reading."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)
    before = roots(successor.hub)
    rooms = follow(house.sites["north.example"], successor)

    told = takeover(rooms, successor.hub)

    assert {row["state"] for row in told} == {"open"}
    assert roots(successor.hub) == before


def test_a_successor_that_knows_less_than_a_hospital_is_not_followed(house, successor, tmp_path):
    """What it writes next could not stand beside what was cosigned here."""
    folders = mirrors(house, tmp_path)
    house.hub.ledger.say(house.study, "study.stopped", {"reason": "operator", "on_behalf": None})
    house.time.forward(seconds=6)
    north = house.sites["north.example"]
    assert north.witness.step(house.study).outcome == "cosigned"
    successor.hub.rebuilding.rebuild(folders, LONG_AGO)
    before = (north.settings.home / "site.toml").read_bytes()

    with pytest.raises(Refused) as refusal:
        follow(north, successor)

    assert refusal.value.rule == "mirror.behind"
    assert (north.settings.home / "site.toml").read_bytes() == before


def test_a_site_follows_nobody_with_another_certificate(house, successor, tmp_path):
    """The code was told by people; whoever sits between shows another one."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)
    north = house.sites["north.example"]
    code = read_code(successor.hub.members.follow_code())
    other = Connections(lambda _: b"another", successor.connections().open)

    with pytest.raises(NotProven):
        north.following.follow(code, other, lambda *_: None)


def test_a_person_who_says_no_leaves_everything_as_it_was(house, successor, tmp_path):
    """The fingerprint and the sizes are shown before anything is changed."""
    successor.hub.rebuilding.rebuild(mirrors(house, tmp_path), LONG_AGO)
    north = house.sites["north.example"]
    home = north.settings.home
    before = {name: (home / name).read_bytes() for name in ("site.toml", "ca.pem", "signers.yaml")}

    with pytest.raises(KeyboardInterrupt):
        north.following.follow(
            read_code(successor.hub.members.follow_code()), successor.connections(), _cut
        )

    assert {name: (home / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("text", ["consilium1-abc", "consilium-follow1-abc", "consilium-follow1-"])
def test_a_code_that_was_cut_off_is_named(text):
    """Nobody connects to half an address."""
    with pytest.raises(NotReady):
        read_code(text)


def test_the_operator_is_told_what_came_back_what_did_not_and_what_to_do(
    house, successor, tmp_path, capsys
):
    """The commands print sizes, what no mirror holds, the code and the keys that wait."""
    words = [word for folder in mirrors(house, tmp_path) for word in ("--from", str(folder))]
    home = ["--home", str(successor.home)]

    assert main(["hub", "rebuild", *words, "--lost", "yesterday", *home]) == 2
    assert main(["hub", "successor", *home]) == 2
    assert main(["hub", "rebuild", *words, "--lost", LONG_AGO, *home]) == 0
    assert "accounts, roles and passwords" in capsys.readouterr().out
    assert main(["hub", "successor", *home]) == 0
    said = capsys.readouterr().out
    assert successor.hub.members.follow_code() in said
    assert said.count("hub.example/events+") == len(house.hub.ledger.logs())
