"""A backup is old on the day it is needed: a restored hub reads first and writes later."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from compliance.command import main
from compliance.errors import NotProven, NotReady, Refused, Unreachable
from compliance.records.types import time_text
from hub.services import held
from hub.services.backups import restore, write_backup
from hub.services.held import EVERY, READ_ONLY, RESTORED, Mark
from hub.settings import load_settings
from hub.wiring import Rooms
from tests.failover.successors import client_of, mirror_of, mirrors, roots, settle
from tests.house import House

CLOSE = {"reason": "abandoned", "on_behalf": None}
STOP = {"reason": "operator", "on_behalf": None}


@pytest.fixture
def kept(house: House, tmp_path: Path) -> Path:
    """A backup; afterwards the study goes on and the hospitals see it."""
    out = tmp_path / "hub.tar.gz"
    write_backup(house.hub.database, house.hub.settings.home, out, time_text(house.time()))
    house.hub.ledger.say(house.study, "study.stopped", STOP)
    settle(house)
    return out


@pytest.fixture
def old(house: House, kept: Path, tmp_path: Path) -> Rooms:
    """The hub as it comes back from the old backup."""
    restore(kept, tmp_path / "restored", time_text(house.time()))
    return Rooms(load_settings(tmp_path / "restored"), clock=house.time)


def test_a_backup_is_whole_and_only_its_owner_can_read_it(house, kept, old):
    """Logs, keys and models come back as they were; the keys are not readable by others."""
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE((old.settings.home / "keys" / "events.key").stat().st_mode) == 0o600
    assert old.keys.events.verifier == house.hub.keys.events.verifier
    model = house.hub.ledger.state(house.study).model_sha256
    assert old.registry.read(house.study, model) == house.hub.registry.read(house.study, model)
    old.ready()


def test_a_hub_from_an_old_backup_appends_nothing(house, old):
    """What came after the backup stands at the hospitals: another entry there would be a fork."""
    before = roots(old)

    with pytest.raises(Refused) as refusal:
        old.ledger.say(house.study, "study.stopped", STOP)

    assert refusal.value.rule == READ_ONLY
    house.time.forward(seconds=60)
    old.ledger.checkpoint(house.study, latest=True)
    assert roots(old) == before


def test_a_hospital_that_speaks_to_a_reading_hub_tries_again(house, old):
    """Its statement is not taken for refused: the answer is a status that means later."""
    north = house.sites["north.example"]
    north.hub = client_of(north, old)

    told = north.steward.withdraw(house.study, "consent")

    assert not told["on_record"]
    north.hub = client_of(north, house.hub)
    north.statements.deliver(north.hub)
    assert house.hub.ledger.state(house.study).withdrawn == {"north.example"}


def test_a_restored_hub_goes_on_when_the_hospitals_mirrors_agree(house, old, tmp_path):
    """Missing entries come from the mirrors; the next entry stands behind all of them."""
    told = old.rebuilding.resume(mirrors(house, tmp_path))

    assert told.lacking == {}
    assert told.added[house.study] == 1
    assert roots(old) == roots(house.hub)
    assert old.held.mark() is None
    size = old.ledger.size(house.study)
    assert old.ledger.say(house.study, "study.closed", CLOSE).index == size
    house.time.forward(seconds=6)
    for rooms in house.sites.values():
        rooms.hub = client_of(rooms, old)
        assert rooms.witness.step(house.study).outcome == "cosigned"


def test_one_mirror_is_not_enough_where_two_make_the_quorum(house, old, tmp_path):
    """The other hospital may know more."""
    north = mirror_of(house.sites["north.example"], tmp_path / "north")

    told = old.rebuilding.resume([north])

    assert set(told.lacking) == {"consortium", house.study}
    with pytest.raises(Refused):
        old.ledger.say(house.study, "study.closed", CLOSE)
    assert old.rebuilding.resume(mirrors(house, tmp_path)).lacking == {}


def test_a_mirror_counts_once(house, old, tmp_path):
    """The same hospital twice is one voice."""
    one, again = (
        mirror_of(house.sites["north.example"], tmp_path / name) for name in ("one", "again")
    )

    assert set(old.rebuilding.resume([one, again]).lacking) == {"consortium", house.study}


def test_a_mirror_older_than_the_restore_is_no_voice(house, kept, tmp_path):
    """It says what was known when it was made."""
    folders = mirrors(house, tmp_path)
    house.time.forward(hours=1)
    restore(kept, tmp_path / "restored", time_text(house.time()))
    rooms = Rooms(load_settings(tmp_path / "restored"), clock=house.time)

    assert set(rooms.rebuilding.resume(folders).lacking) == {"consortium", house.study}


def test_a_hub_that_wrote_something_else_meanwhile_is_a_fork_and_stays_shut(house, old, tmp_path):
    """Somebody took the mark away and wrote: the mirrors tell, and nothing goes on."""
    (old.settings.home / held.FILE).unlink()
    old.ledger.say(house.study, "study.stopped", STOP)
    old.held.keep(Mark(RESTORED, time_text(house.time()), (EVERY,)))

    with pytest.raises(NotProven) as finding:
        old.rebuilding.resume(mirrors(house, tmp_path))

    assert finding.value.step == "fork"
    assert "this hub" in str(finding.value)
    assert old.held.holds(house.study)


def test_a_damaged_mark_is_no_way_out(house, old):
    """Whoever spoils the file gets a sentence, and still nothing is written."""
    (old.settings.home / held.FILE).write_text("{")

    with pytest.raises(NotReady):
        old.ledger.say(house.study, "study.stopped", STOP)


def test_a_reading_hub_answers_later_over_http(house, old):
    """What is asked is answered; what is said gets a status that means later."""
    client = client_of(house.sites["north.example"], old)
    body = {"reason": "consent"}
    note = house.sites["north.example"].statements.seal(
        "site.withdrawn",
        body,
        log=old.ledger.state(house.study).charter_id,
        key=house.sites["north.example"].keys.node,
    )
    assert client.checkpoint("consortium")

    with pytest.raises(Unreachable):
        client.append(house.study, note)


def test_a_study_that_began_after_the_backup_comes_back_with_the_mirrors(
    house, kept, tmp_path, capsys
):
    """Its log and its place in the list are those of the hospitals."""
    first = house.study
    house.launch(title="Another opacity")
    settle(house)
    restore(kept, tmp_path / "restored", time_text(house.time()))
    rooms = Rooms(load_settings(tmp_path / "restored"), clock=house.time)

    told = rooms.rebuilding.resume(mirrors(house, tmp_path))

    assert told.lacking == {}
    assert set(told.sizes) == {"consortium", first, house.study}
    assert roots(rooms) == roots(house.hub)


def test_the_commands_tell_what_to_do_next(house, kept, tmp_path, capsys):
    """Backup, restore, resume: each names the next step, and 2 says that something is missing."""
    home = tmp_path / "again"
    assert main(["hub", "restore", str(kept), "--home", str(home)]) == 0
    assert "consilium hub resume --from" in capsys.readouterr().out
    assert main(["hub", "restore", str(kept), "--home", str(home)]) == 2
    assert main(["hub", "backup", "--home", str(home), "--out", str(kept)]) == 2
    capsys.readouterr()
    (home / held.FILE).write_text(
        json.dumps({"why": RESTORED, "since": time_text(house.time()), "logs": [EVERY]})
    )
    folders = mirrors(house, tmp_path / "copies")
    assert main(["hub", "resume", "--home", str(home), "--from", str(folders[0])]) == 2
    assert "only reads" in capsys.readouterr().out
    words = [word for folder in folders for word in ("--from", str(folder))]
    assert main(["hub", "resume", "--home", str(home), *words]) == 0
    assert main(["hub", "hold", "--home", str(home)]) == 0
    assert (home / held.FILE).exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08\x00"])
def test_a_file_that_is_no_backup_makes_no_home(content, tmp_path):
    """Nothing half restored is left behind."""
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(NotReady):
        restore(tmp_path / "file", tmp_path / "home", "2026-11-29T04:00:00Z")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
