"""`consilium site backup|restore|restored`, typed: three commands from a lost disk to a node."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compliance.command import main
from site_node.gate.restored import FILE
from site_node.wiring import open_site
from tests.site_node.gate.world import CONSORTIUM, STUDY
from tests.site_node.shell import Site, launched


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    """A file with the backup's passphrase."""
    path = tmp_path / "passphrase"
    path.write_text("a sentence for the safe\n")
    return path


@pytest.fixture
def back(member: Site, shelf: None, safe: Path, tmp_path: Path) -> Site:
    """A site with a study, backed up, its home lost, restored into another one."""
    launched(member)
    member.ask("backup", str(tmp_path / "kept"), "--passphrase-file", str(safe))
    member.world.home = tmp_path / "new"
    member.ask("restore", str(tmp_path / "kept"), "--passphrase-file", str(safe))
    return member


def test_a_backup_says_what_it_holds_and_what_to_import_again(
    member: Site, shelf: None, safe: Path, tmp_path: Path
) -> None:
    """For people and for machines; the journal says that there is a copy now."""
    told = member.ask("backup", str(tmp_path / "kept"), "--passphrase-file", str(safe))
    code, out = member.run("backup", str(tmp_path / "two"), "--passphrase-file", str(safe))

    assert told["datasets"][0]["name"] == "chest"
    assert not told["with_data"]
    assert code == 0
    assert "without images" in out
    with open_site(member.world.home) as rooms:
        assert rooms.journal.lines()[-1]["kind"] == "backup.written"


def test_a_restored_site_says_what_comes_next(
    member: Site, shelf: None, safe: Path, tmp_path: Path
) -> None:
    """End the old node, repeat decisions, import again: the three things nobody does by itself."""
    member.ask("backup", str(tmp_path / "kept"), "--passphrase-file", str(safe))
    member.world.home = tmp_path / "new"

    code, out = member.run("restore", str(tmp_path / "kept"), "--passphrase-file", str(safe))

    assert code == 0
    assert "End the old node for good" in out
    assert "Repeat what the steward decided" in out
    assert "Import again" in out
    assert "chest" in out


def test_which_logs_rest_is_said_until_the_others_have_spoken(back: Site) -> None:
    """Ends with 2 while a log rests, and with 0 when none does."""
    code, out = back.run("restored", "--json")

    assert code == 2
    assert {row["log"]: row["rests"] for row in json.loads(out)["logs"]} == {
        CONSORTIUM: True,
        STUDY: True,
    }


def test_a_person_may_vouch_for_a_log_that_nobody_cosigns_any_more(back: Site) -> None:
    """A closed study stays quiet: compared by telephone, said at this hospital, on record."""
    for log in (CONSORTIUM, STUDY):
        code, _ = back.run("restored", "--trust", log, "--yes")

    assert code == 0
    with open_site(back.world.home) as rooms:
        woken = [row for row in rooms.journal.lines() if row["kind"] == "restored.awake"]
        assert [row["study"] for row in woken] == [CONSORTIUM, STUDY]
    code, _ = back.run("restored", "--trust", STUDY, "--yes")
    assert code == 2
    assert "rests here" in back.said


def test_a_site_that_was_never_restored_says_so(member: Site) -> None:
    """No mark: nothing rests."""
    code, out = member.run("restored")

    assert code == 0
    assert "never restored" in out


def test_a_home_put_back_by_other_means_is_held_by_hand(member: Site, shelf: None) -> None:
    """A copied folder carries no mark: the technician sets it."""
    launched(member)

    code, out = member.run("restored", "--hold")

    assert code == 2
    assert "by other means" in out
    with open_site(member.world.home) as rooms:
        assert rooms.restored.rests(STUDY)


def test_a_mark_that_cannot_be_read_is_one_sentence(back: Site) -> None:
    """What to write into it, and nothing is cosigned before."""
    (back.world.home / FILE).write_text("torn")

    code, _ = back.run("restored")

    assert code == 2
    assert "must not cosign" in back.said


def test_restoring_needs_a_folder_that_is_named(safe: Path, tmp_path: Path, capsys) -> None:
    """Nobody restores into the default home by accident."""
    code = main(["site", "restore", str(tmp_path), "--passphrase-file", str(safe)])

    assert code == 2
    assert "--home" in capsys.readouterr().err


def test_the_passphrase_of_a_backup_is_asked_for_by_its_name(member: Site, tmp_path: Path) -> None:
    """Nobody can type here: the answer names the option."""
    code, _ = member.run("backup", str(tmp_path / "kept"))

    assert code == 2
    assert "--passphrase-file" in member.said
    assert not (tmp_path / "kept").exists()
