"""`consilium site deidentify`: what a technician types, reads and finds in the folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pydicom
import pytest

from compliance.command import main
from compliance.errors import NotReady
from site_node.imaging import copying
from site_node.imaging.copying import Copier, Request
from tests.site_node.imaging.files import SECRET, Shell, file_of, folder_of, header, picture

ROOT = Path(__file__).resolve().parents[3]


def copier(home: Path) -> Copier:
    """A site with the secret of the tests."""
    home.mkdir(exist_ok=True)
    return Copier(home=home, random=lambda _: SECRET, jobs=2)


def copies(folder: Path) -> dict[str, bytes]:
    """The copies in a folder by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.dcm")}


def test_a_folder_becomes_a_folder_of_copies(shell: Shell, tmp_path: Path) -> None:
    """Counts add up, the copies are images without a name, the originals are what they were."""
    source = folder_of(tmp_path / "in", 5)
    before = {path: path.read_bytes() for path in source.rglob("*")}

    code, out, _ = shell(source, "--out", tmp_path / "out", "--json")

    told = json.loads(out)
    made = copies(tmp_path / "out")
    assert code == 0
    assert (told["files"], told["written"], told["reasons"]) == (6, 5, {"not_dicom": 1})
    assert told["files"] == told["written"] + told["quarantined"] + told["skipped"]
    assert told["actions"]["codes"] == {"113100": 5, "113107": 5, "113108": 5}
    assert len(made) == 5
    for name in made:
        copy = pydicom.dcmread(tmp_path / "out" / name)
        assert copy.PatientName == copy.PatientID
        assert copy.pixel_array.shape == (8, 8)
    assert {path: path.read_bytes() for path in source.rglob("*")} == before


def test_people_read_counts_and_what_to_do(shell: Shell, tmp_path: Path) -> None:
    """A few lines, the report's place, and a reminder to look."""
    _, out, err = shell(folder_of(tmp_path / "in", 2), "--out", tmp_path / "out")

    assert "written: 2" in out
    assert "113107 2" in out
    assert "Look at the copies before you hand them out." in out
    assert "of 3 files" in err


def test_the_report_beside_the_copies_holds_tags_and_counts(shell: Shell, tmp_path: Path) -> None:
    """Profile with its hash, what was done; nothing of a patient and no path."""
    source = folder_of(tmp_path / "Doe_Jane", 3)
    shell(source, "--out", tmp_path / "out", "--profile", "strict")

    text = (tmp_path / "out" / "deidentification.json").read_text()
    told = json.loads(text)
    assert (told["complete"], told["copies"]) == (True, 3)
    assert told["profile"] == {"name": "strict", "codes": ["113100"]}
    assert told["actions"]["00080020"] == {"emptied": 3}
    assert "Doe" not in text
    assert not list((tmp_path / "out").glob(".partial"))


def test_a_second_run_changes_nothing(shell: Shell, tmp_path: Path) -> None:
    """Nothing is read again, the copies are the same files."""
    source, out = folder_of(tmp_path / "in", 3), tmp_path / "out"
    shell(source, "--out", out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("*.dcm")}

    code, text, err = shell(source, "--out", out)

    assert code == 0
    assert "written: 3" in text
    assert "of" not in err
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.dcm")} == times


def test_a_copy_that_was_taken_away_is_made_again(shell: Shell, tmp_path: Path) -> None:
    """The same name, the same bytes."""
    source, out = folder_of(tmp_path / "in", 3), tmp_path / "out"
    shell(source, "--out", out)
    before = copies(out)
    (out / next(iter(before))).unlink()

    _, text, _ = shell(source, "--out", out, "--json")

    assert copies(out) == before
    assert json.loads(text)["actions"]["codes"]["113100"] == 3


def test_a_run_that_was_killed_goes_on_and_leaves_no_half_file(tmp_path: Path) -> None:
    """Whenever it dies, what has its name is whole; the end is that of an undisturbed run."""
    source, out = folder_of(tmp_path / "in", 150), tmp_path / "out"
    copier(tmp_path / "quiet").run(Request(source, tmp_path / "expected"))
    expected = copies(tmp_path / "expected")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "secret.key").write_bytes(SECRET)
    words = ["site", "deidentify", str(source), "--out", str(out), "--home", str(tmp_path / "home")]
    killed = subprocess.Popen(
        [sys.executable, "-c", f"from compliance.command import main; main({words!r})"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while killed.poll() is None and not any(out.glob("*.dcm")):
        time.sleep(0.01)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    there = copies(out)

    told = copier(tmp_path / "home").run(Request(source, out))

    assert there
    assert all(expected[name] == data for name, data in there.items())
    assert told["written"] == 150
    assert copies(out) == expected


def test_a_record_that_was_cut_is_not_believed(tmp_path: Path) -> None:
    """Half a line says nothing; its file is copied again."""
    source, out = folder_of(tmp_path / "in", 3), tmp_path / "out"
    site = copier(tmp_path / "home")
    site.run(Request(source, out))
    before = copies(out)
    (record,) = (tmp_path / "home" / "deidentified").iterdir()
    os.truncate(record, record.stat().st_size - 9)

    told = site.run(Request(source, out))

    assert told["written"] == 3
    assert copies(out) == before


def test_two_pictures_under_one_uid_are_named_and_the_first_by_content_stays(
    tmp_path: Path,
) -> None:
    """31 UIDs of pydicom's own files are shared: none is lost in silence."""
    source = tmp_path / "in"
    source.mkdir()
    for number in (1, 2):
        (source / f"{number}.dcm").write_bytes(file_of(header(number=1), picture(number)))
    (source / "again.dcm").write_bytes((source / "1.dcm").read_bytes())
    (source / "note.dcm").write_bytes(file_of(header(number=1, ImageComments="a"), picture(1)))

    told = copier(tmp_path / "home").run(Request(source, tmp_path / "out"))

    assert told["written"] == 1
    assert told["reasons"].get("uid_conflict", 0) >= 1
    assert told["skipped_because"]["duplicate_bytes"] == 1
    assert told["files"] == told["written"] + told["quarantined"] + told["skipped"] == 4


def test_the_keys_stand_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of processes is read by everybody on a machine; the child's pipe is not."""
    seen: list[str] = []

    class Watched(copying.Pool):
        def run(self, jobs):
            for answer in super().run(jobs):
                seen.extend(Path(f"/proc/{pid}/cmdline").read_text() for pid in self.pids())
                yield answer

    monkeypatch.setattr(copying, "Pool", Watched)
    site = copier(tmp_path / "home")
    site.run(Request(folder_of(tmp_path / "in", 2), tmp_path / "out"))

    lent = copying.open_keys(tmp_path / "home", lambda _: SECRET).lend("patient", "uid", "date")
    assert seen
    for secret in (*lent.values(), SECRET.hex()):
        assert not [line for line in seen if secret in line]
        assert secret.encode() not in (tmp_path / "out" / "deidentification.json").read_bytes()


def test_a_hospitals_own_profile_is_a_file_with_a_name_and_codes(
    shell: Shell, tmp_path: Path
) -> None:
    """Its name is in every copy, with its codes as far as they are true."""
    own = tmp_path / "north.yaml"
    own.write_text('name: north\ncodes: ["113100", "113107", "113109"]\n')

    code, out, _ = shell(folder_of(tmp_path / "in", 2), "--out", tmp_path / "out",
                         "--profile", own, "--json")  # fmt: skip

    copy = pydicom.dcmread(next((tmp_path / "out").glob("*.dcm")))
    assert code == 0
    assert json.loads(out)["actions"]["codes"] == {"113100": 2, "113107": 2}
    assert "profile north" in copy.DeidentificationMethod
    assert "PatientAge" not in copy


@pytest.mark.parametrize("profile", ["strict", "own"])
def test_copies_of_two_profiles_are_not_mixed(tmp_path: Path, profile: str) -> None:
    """One folder, one profile; the sentence says what to do."""
    own = tmp_path / "own.yaml"
    own.write_text("name: north\ncodes: ['113100', '113107']\n")
    source, site = folder_of(tmp_path / "in", 1), copier(tmp_path / "home")
    site.run(Request(source, tmp_path / "out"))

    with pytest.raises(NotReady, match="another profile") as error:
        site.run(Request(source, tmp_path / "out", str(own) if profile == "own" else profile))

    assert "Name another folder" in str(error.value)


def test_copies_never_go_into_the_originals_or_into_a_full_folder(tmp_path: Path) -> None:
    """Nothing is overwritten, and copies are not read as originals the next time."""
    source, site = folder_of(tmp_path / "in", 1), copier(tmp_path / "home")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")

    nested = [source, source / "out", tmp_path]
    for out in nested:
        with pytest.raises(NotReady, match="lie in each other"):
            site.run(Request(source, out))
    with pytest.raises(NotReady, match="not empty"):
        site.run(Request(source, tmp_path / "full"))

    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_full_disk_ends_with_a_sentence_and_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has no room stays away; after space is given the run goes on."""
    source, out = folder_of(tmp_path / "in", 2), tmp_path / "out"
    site = copier(tmp_path / "home")
    first = copying.Target.open

    def full(self: copying.Target) -> None:
        first(self)
        for slot in (0, 1):
            (self.work / f"child-{slot}.u16").symlink_to("/dev/full")

    monkeypatch.setattr(copying.Target, "open", full)
    with pytest.raises(NotReady, match="disk with the copies is full"):
        site.run(Request(source, out))
    assert not copies(out)
    monkeypatch.undo()

    assert site.run(Request(source, out))["written"] == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--profile", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
        (["--profile", "lenient"], "lenient cannot be read"),
    ],
)
def test_a_wrong_word_gets_one_sentence_and_exit_2(
    shell: Shell, tmp_path: Path, words: list[str], sentence: str
) -> None:
    """What happened and what to do; no traceback, no folder made."""
    code, out, err = shell(folder_of(tmp_path / "in", 1), "--out", tmp_path / "out", *words)

    assert code == 2
    assert sentence in out + err
    assert "Traceback" not in out + err
    assert not (tmp_path / "out").exists()


def test_a_folder_without_an_image_ends_with_2_and_the_reasons(
    shell: Shell, tmp_path: Path
) -> None:
    """Nothing was copied, and why; the list with paths stays in the home."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "Doe_Jane.txt").write_text("no picture")

    code, out, err = shell(tmp_path / "in", "--out", tmp_path / "out", "--list-files")

    listing = tmp_path / "home" / "quarantine.csv"
    assert code == 2
    assert "not_dicom 1" in out + err
    assert "Doe" not in out + err
    assert "Doe_Jane.txt,not_dicom" in listing.read_text()
    assert listing.stat().st_mode & 0o777 == 0o600


def test_the_journal_holds_counts_of_the_run(shell: Shell, tmp_path: Path, capsys) -> None:
    """The hospital's own book says what was copied, by which profile."""
    shell(folder_of(tmp_path / "in", 2), "--out", tmp_path / "out")

    main(["site", "journal", "--json"])

    rows = json.loads(capsys.readouterr().out)
    assert [row for row in rows if row["kind"] == "deidentified"]
