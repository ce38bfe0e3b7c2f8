"""A backup of a site is whole or not there, its keys are closed, and a changed one is no home."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from compliance.errors import NotReady, Refused
from site_node.gate import backup
from site_node.gate.backup import Home, write_backup
from site_node.gate.restoring import restore
from site_node.store import backup as copies
from site_node.store.journal import JournalRow
from site_node.wiring import Rooms
from tests.house import House
from tests.site_node.gate.kept import PASSPHRASE, back_up, come_back
from tests.site_node.imaging.files import Site as Images
from tests.site_node.imaging.files import folder_of

SECRET = bytes(range(32))


@pytest.fixture
def house(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> House:
    """A hub and two hospitals with a study."""
    made = House(tmp_path / "town", capsys)
    made.launch()
    return made


@pytest.fixture
def north(house: House) -> Rooms:
    """A hospital with everything that a home may hold."""
    rooms = house.sites["north.example"]
    home = rooms.settings.home
    for name, data in (
        ("secret.key", SECRET),
        ("policy.yaml", b"min_cell: 5\n"),
        ("deidentified/aa.jsonl", b"{}\n"),
        ("datasets/chest/g0-0000.u16", bytes(64)),
        ("inbox/ab/ab.dcm", b"DICM"),
        ("run/serve.lock", b"1"),
        ("work/half", b"half"),
        ("models/m", b"model"),
        ("models/aa/m.f32", b"model"),
        ("models/aa/local/l.f32", b"layers"),
        ("models/bb/controls/c.f64", b"control"),
        ("models/bb/controls/d.f64.partial", b"half"),
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(data)
        (home / name).chmod(0o600)
    return rooms


@pytest.fixture
def kept(north: Rooms, tmp_path: Path) -> Path:
    """A backup without images."""
    back_up(north, tmp_path / "kept")
    return tmp_path / "kept"


def test_a_backup_comes_back_as_it_was(house: House, north: Rooms, kept: Path, tmp_path: Path):
    """Keys, secret of the pseudonyms, settings, policy, logs, decisions and journal."""
    back = come_back(house, kept, tmp_path / "new")

    assert back.keys.node.verifier == north.keys.node.verifier
    assert back.keys.institution(None).verifier == north.keys.institution(None).verifier
    assert (back.settings.home / "secret.key").read_bytes() == SECRET
    assert back.settings.site == "north.example"
    assert back.settings.policy.min_cell == 5
    assert [head.root for head in back.mirror.all_heads()] == [
        head.root for head in north.mirror.all_heads()
    ]
    assert back.journal.lines()[-1]["kind"] == north.journal.lines()[-1]["kind"]


def test_a_backup_is_for_its_owner_and_its_keys_for_who_knows_the_passphrase(
    north: Rooms, kept: Path
):
    """Whoever finds the disk signs for nobody and links no pseudonym."""
    names = {path.relative_to(kept).as_posix() for path in kept.rglob("*") if path.is_file()}
    everything = b"".join((kept / name).read_bytes() for name in names)

    assert not [name for name in names if name.endswith(".key")]
    for path in north.settings.keys.glob("*.key"):
        document = path.read_text()
        seed = json.loads(document)["seed"] if document.startswith("{") else document.split()[5]
        assert seed.encode() not in everything, path.name
    assert SECRET not in everything
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert {stat.S_IMODE((kept / name).stat().st_mode) for name in names} == {0o600}


def test_restored_files_are_closed_to_others(house: House, kept: Path, tmp_path: Path):
    """Home 0700, every file 0600."""
    home = come_back(house, kept, tmp_path / "new").settings.home

    files = [path for path in home.rglob("*") if path.is_file()]
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (home / "keys").glob("*")} == {0o600}
    assert not [path for path in files if path.stat().st_mode & 0o022]


def test_images_go_along_only_when_asked(north: Rooms, kept: Path, tmp_path: Path):
    """Without them no row of a single image goes along either; what is made again never does."""
    told = back_up(north, tmp_path / "full", with_data=True)

    assert {"datasets/chest/g0-0000.u16", "inbox/ab/ab.dcm"} <= set(told["files"])
    assert not [name for name in told["files"] if name.split("/")[0] in ("run", "work")]
    assert not (kept / "datasets").exists()
    assert not (kept / "models").exists()
    assert not (kept / "inbox").exists()
    assert json.loads((kept / "manifest.json").read_bytes())["datasets"][0]["name"] == "chest"


def test_what_a_study_keeps_here_alone_comes_back_with_data(
    house: House, north: Rooms, tmp_path: Path
):
    """Layers and controls of this hospital, byte for byte; models come from the hub again."""
    told = back_up(north, tmp_path / "full", with_data=True)

    home = come_back(house, tmp_path / "full", tmp_path / "new").settings.home

    own = {"models/aa/local/l.f32": b"layers", "models/bb/controls/c.f64": b"control"}
    assert {name for name in told["files"] if name.startswith("models/")} == set(own)
    assert {name: (home / name).read_bytes() for name in own} == own
    assert not (home / "models" / "aa" / "m.f32").exists()


def test_a_backup_places_nothing_else_among_the_models(
    house: House, north: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A model in a backup would be one that no log names."""
    monkeypatch.setattr(backup, "OWN", ("local", "controls", "m.f32"))
    back_up(north, tmp_path / "full", with_data=True)

    with pytest.raises(NotReady, match="strange"):
        restore(tmp_path / "full", tmp_path / "new", PASSPHRASE, house.time())


def test_a_file_that_a_newer_round_took_away_meanwhile_is_left_out(
    north: Rooms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The site is served: the layers of the last round may go while others are copied."""
    copy = backup.copy_file

    def late(source: Path, target: Path) -> str:
        if source.name == "l.f32":
            source.unlink()
        return copy(source, target)

    monkeypatch.setattr(backup, "copy_file", late)
    told = back_up(north, tmp_path / "full", with_data=True)

    assert "models/aa/local/l.f32" not in told["files"]
    assert "models/bb/controls/c.f64" in told["files"]


def test_rows_about_images_stay_behind_without_images(north: Rooms, tmp_path: Path):
    """They would say that arrays are here which are not; an import brings both back."""
    path = north.settings.store_path
    with sqlite3.connect(path) as open_:
        open_.execute("INSERT INTO shards VALUES ('chest', 'r', 0, 12)")
    for with_objects in (False, True):
        copies.copy_of(path, tmp_path / f"{with_objects}.sqlite", with_objects=with_objects)

    counts = [
        sqlite3.connect(tmp_path / f"{name}.sqlite")
        .execute("SELECT count(*) FROM shards")
        .fetchone()
        for name in (False, True)
    ]
    assert counts == [(0,), (1,)]


@pytest.mark.parametrize("with_data", [False, True])
def test_images_come_back_as_the_same_version(tmp_path: Path, house: House, with_data: bool):
    """From the backup, or imported again with the secret that was in it: the same hash."""
    site, folder = Images(tmp_path / "images"), folder_of(tmp_path / "dicom", 6)
    before = site.take(folder)
    copy = partial(copies.copy_of, site.home / "site.sqlite", with_objects=with_data)
    source = Home(site.home, "north.example", copy, [], with_data)
    write_backup(source, tmp_path / "kept", PASSPHRASE, house.time.text())

    restore(tmp_path / "kept", tmp_path / "new", PASSPHRASE, house.time())

    back = Images(tmp_path / "new", secret=b"another secret, never used here.")
    held = sorted(path.name for path in (back.home / "datasets").rglob("*.u16"))
    assert bool(held) == with_data
    after = back.take(folder)
    assert after["version"] == before["version"]
    assert after["new_version"] != with_data
    arrays = [path.read_bytes() for path in sorted(back.dataset.glob("*.u16"))]
    assert arrays == [path.read_bytes() for path in sorted(site.dataset.glob("*.u16"))] != []


def test_a_backup_is_taken_while_the_site_writes(north: Rooms, house: House, tmp_path: Path):
    """What is not committed at that moment is not in it, and nobody waits for anybody."""
    before = len(north.journal.lines())
    with north.store.begin() as session:
        session.add(JournalRow(at=house.time.text(), kind="half", study=None, rule=None, data="{}"))
        session.flush()
        back_up(north, tmp_path / "kept")

    back = come_back(house, tmp_path / "kept", tmp_path / "new")
    assert len(north.journal.lines()) == before + 1
    assert len(back.journal.lines()) == before


def test_a_backup_that_fails_leaves_nothing(north: Rooms, tmp_path: Path):
    """A full disk in the middle: no folder, and nothing beside it."""

    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    (tmp_path / "safe").mkdir()
    home = Home(north.settings.home, "north.example", full, [])
    with pytest.raises(OSError, match="No space"):
        write_backup(home, tmp_path / "safe" / "kept", PASSPHRASE, "now")

    assert list((tmp_path / "safe").iterdir()) == []


@pytest.mark.parametrize("where", ["there", "inside"])
def test_a_backup_overwrites_nothing_and_does_not_hold_itself(
    north: Rooms, tmp_path: Path, where: str
):
    """Neither into a folder that is there, nor into the home."""
    out = {"there": tmp_path, "inside": north.settings.home / "kept"}[where]

    with pytest.raises(NotReady):
        back_up(north, out)


def test_a_short_passphrase_is_refused(north: Rooms, tmp_path: Path):
    """Eight characters, as for the key of the hospital."""
    with pytest.raises(NotReady, match="fewer than 8"):
        write_backup(
            Home(north.settings.home, "n", lambda _: None, []), tmp_path / "k", "short", ""
        )


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "the database changed": lambda kept: flip(kept / "site.sqlite"),
    "the settings changed": lambda kept: flip(kept / "site.toml"),
    "the authority of the hub changed": lambda kept: flip(kept / "ca.pem"),
    "the manifest changed": lambda kept: flip(kept / "manifest.json"),
    "the secrets changed": lambda kept: flip(kept / "secrets.json"),
    "the secrets gone": lambda kept: (kept / "secrets.json").unlink(),
    "the manifest gone": lambda kept: (kept / "manifest.json").unlink(),
    "a file gone": lambda kept: (kept / "signers.yaml").unlink(),
    "a file more": lambda kept: (kept / "policy2.yaml").write_text("x"),
    "a link": lambda kept: (
        (kept / "site.toml").rename(kept.parent / "t"),
        (kept / "site.toml").symlink_to(kept.parent / "t"),
    ),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=str)
def test_a_damaged_backup_makes_no_home(kept: Path, house: House, tmp_path: Path, damage: str):
    """Every hash is checked before anything lies where a node would find it."""
    DAMAGE[damage](kept)
    (tmp_path / "place").mkdir()

    with pytest.raises((NotReady, Refused)):
        restore(kept, tmp_path / "place" / "new", PASSPHRASE, house.time())

    assert list((tmp_path / "place").iterdir()) == []


def test_an_older_database_cannot_be_put_into_a_newer_backup(
    north: Rooms, kept: Path, house: House, tmp_path: Path
):
    """The secrets open with the very manifest they were closed with, hashes and all."""
    house.close_round()
    back_up(north, tmp_path / "newer")
    for name in ("site.sqlite", "manifest.json"):
        (tmp_path / "newer" / name).unlink()
        os.link(kept / name, tmp_path / "newer" / name)

    with pytest.raises(Refused, match="manifest was changed"):
        restore(tmp_path / "newer", tmp_path / "new", PASSPHRASE, house.time())


def test_names_that_lead_elsewhere_are_strange(kept: Path, house: House, tmp_path: Path):
    """A manifest cannot place a file outside the home, nor a program into it."""
    for name in ("../evil", "keys/node.key", "deidentified/../../evil", "run/x", "/etc/evil"):
        told = json.loads((kept / "manifest.json").read_bytes())
        told["files"][name] = told["files"]["site.toml"]
        (tmp_path / "manifest.json").write_text(json.dumps(told, sort_keys=True))
        original = (kept / "manifest.json").read_bytes()
        (kept / "manifest.json").write_bytes((tmp_path / "manifest.json").read_bytes())

        with pytest.raises((NotReady, Refused)):
            restore(kept, tmp_path / "new", PASSPHRASE, house.time())

        (kept / "manifest.json").write_bytes(original)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path / "new").exists()


def test_the_wrong_passphrase_makes_no_home(kept: Path, house: House, tmp_path: Path):
    """Refused in one sentence."""
    with pytest.raises(Refused, match="passphrase is not this backup's"):
        restore(kept, tmp_path / "new", "another sentence", house.time())

    assert not (tmp_path / "new").exists()


def test_a_home_that_holds_something_is_left_alone(kept: Path, north: Rooms, house: House):
    """Nobody restores over a living site."""
    before = north.settings.store_path.read_bytes()

    with pytest.raises(NotReady, match="not empty"):
        restore(kept, north.settings.home, PASSPHRASE, house.time())

    assert north.settings.store_path.read_bytes() == before


def test_an_empty_folder_may_become_a_home(kept: Path, house: House, tmp_path: Path):
    """A mounted volume is there already."""
    (tmp_path / "new").mkdir()

    assert come_back(house, kept, tmp_path / "new").settings.joined
