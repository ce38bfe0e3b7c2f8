"""From a folder to a dataset: nothing lost, nothing twice, the same version on every way."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest

from compliance.errors import NotReady
from compliance.records.consortium import DatasetRegistered
from compliance.records.reasons import Quarantine
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.curated import SPLITS, CuratedDataset
from site_node.imaging.tally import only_one_import
from site_node.store.journal import close_store
from site_node.store.schema import open_store
from tests.site_node.imaging.files import Site, all_bytes, file_of, folder_of, header, picture

BUNDLED = Path(pydicom.__file__).parent / "data" / "test_files"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def bundled_labels(tmp_path: Path) -> Path:
    """Labels for some patients of pydicom's own files, and for one who is not there."""
    path = tmp_path / "bundled.csv"
    rows = ["PatientID,finding", "4MR1,normal", "1CT1,ill", "98890234,normal", "77654033,ill"]
    path.write_text("\n".join([*rows, "021234567,normal", "nobody,ill"]) + "\n")
    return path


def state(site: Site) -> dict[str, bytes]:
    """Every byte of the dataset's folder."""
    return {str(path): data for path, data in all_bytes(site.dataset)}


def kept_pictures(site: Site) -> dict[bytes, int]:
    """Every picture of the newest version with its class."""
    data = CuratedDataset.open(site.dataset)
    images, labels = data.batch(np.arange(len(data)))
    return {
        np.rint(image * 255).astype(np.uint8).tobytes(): int(label)
        for image, label in zip(images, labels, strict=True)
    }


def test_every_bundled_file_is_in_the_dataset_or_left_out_with_a_reason(site, bundled_labels):
    """176 files of every kind, and each has exactly one outcome."""
    told = site.take(BUNDLED, labels=bundled_labels)

    on_disk = sum(len(names) for _, _, names in os.walk(BUNDLED))
    assert told["files"] == on_disk
    assert told["imported"] + told["quarantined"] + told["skipped"] == told["files"]
    assert set(told["reasons"]) <= {reason.value for reason in Quarantine}
    assert told["reasons"].keys() >= {"not_dicom", "truncated", "class_not_supported"}
    assert told["skipped_because"]["dicomdir"] == 8
    assert told["imported"] >= 30
    assert told["label_without_image"] == 1


def test_the_second_import_of_the_same_folder_changes_nothing(site, bundled_labels):
    """No byte of the dataset, no version, and not one file is read again."""
    first = site.take(BUNDLED, labels=bundled_labels)
    before = state(site)

    second = site.take(BUNDLED, labels=bundled_labels)

    assert state(site) == before
    assert not second["new_version"]
    assert second["read_now"] == 0
    same = ("version", "files", "imported", "quarantined", "skipped", "quality")
    assert {name: first[name] for name in same} == {name: second[name] for name in same}


def test_the_version_does_not_depend_on_names_places_or_order(tmp_path):
    """The same files under other names in other folders are the same dataset."""
    source = folder_of(tmp_path / "one", 12)
    other = tmp_path / "two"
    for place, path in enumerate(sorted(source.glob("*.dcm"), reverse=True)):
        target = other / f"f{place % 3}"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target / f"x{place}")
    shutil.copy(source / "labels.csv", other)

    versions = {
        Site(tmp_path / f"home-{folder.name}").take(folder)["version"] for folder in (source, other)
    }

    assert len(versions) == 1


def test_two_hospitals_never_give_the_same_version(tmp_path):
    """The hash is keyed: a public picture cannot be shown to be here."""
    source = folder_of(tmp_path / "one", 6)

    versions = {
        Site(tmp_path / f"home-{n}", bytes([n]) * 32).take(source)["version"] for n in (1, 2)
    }

    assert len(versions) == 2


def test_importing_in_two_parts_ends_in_the_version_of_one_import(site, tmp_path):
    """Append-only rows in another order, the same dataset."""
    whole = Site(tmp_path / "whole").take(folder_of(tmp_path / "all", 12))["version"]
    late = folder_of(tmp_path / "late", 6, first=7)
    early = folder_of(tmp_path / "early", 6)

    first = site.take(late)["version"]
    second = site.take(early)["version"]

    assert second == whole != first
    assert len(CuratedDataset.open(site.dataset)) == 12
    old = CuratedDataset.open(site.dataset / first.removeprefix("sha256:")[:12])
    assert len(old) == 6


def test_pictures_come_back_as_they_went_in(site, tmp_path):
    """Values, labels and pseudonyms of each row belong together."""
    source = folder_of(tmp_path / "one", 12)
    site.take(source)

    data = CuratedDataset.open(site.dataset)

    rows = np.concatenate([data.rows(split) for split in SPLITS])
    images, labels = data.batch(rows)
    assert sorted(rows) == list(range(12))
    assert (images.dtype, labels.dtype, images.shape) == (np.float32, np.int64, (12, 1, 8, 8))
    assert kept_pictures(site) == {picture(n).tobytes(): n % 2 for n in range(1, 13)}
    assert len(set(data.patients(rows))) == 12


def test_groups_of_a_version_are_the_words_of_its_headers(site, tmp_path):
    """Sex, age band and maker stand beside each row; a maker that is a name becomes `other`."""
    source = folder_of(tmp_path / "one", 2)
    for number, maker in enumerate(("GE MEDICAL SYSTEMS", "Mueller Hans"), start=1):
        path = source / f"scanned-{number}.dcm"
        made = header(f"s{number}", 70 + number, Manufacturer=maker, PatientSex="M")
        path.write_bytes(file_of(made, picture(70 + number)))
    labels = source / "labels.csv"
    labels.write_text(labels.read_text() + "s1,normal\ns2,pneumonia\n")
    site.take(source)

    data = CuratedDataset.open(site.dataset)
    told = data.groups(np.arange(len(data)))

    rows = sorted(zip(told["sex"], told["age"], told["scanner"], strict=True))
    assert rows == [("f", "60-79", ""), ("f", "60-79", ""), ("m", "60-79", "ge"),
                    ("m", "60-79", "other")]  # fmt: skip


def test_no_patient_is_in_two_splits_and_new_data_moves_nobody(site, tmp_path):
    """Two pictures of each of 40 patients, then 20 patients more."""
    source = folder_of(tmp_path / "one", 40)
    for number in range(1, 41):
        data = file_of(header(f"{number:05d}", 100 + number), picture(100 + number))
        (source / f"again-{number}.dcm").write_bytes(data)
    site.take(source)
    before = _splits(site)

    site.take(folder_of(tmp_path / "two", 20, first=1000))

    after = _splits(site)
    assert len(before) == 40
    assert all(len(splits) == 1 for splits in after.values())
    assert {patient: after[patient] for patient in before} == before


def with_splits(source: Path, words: list[str]) -> None:
    """Write the split of each row into the label file of a folder."""
    head, *rows = (source / "labels.csv").read_text().split()
    told = [f"{row},{word}" for row, word in zip(rows, words, strict=True)]
    (source / "labels.csv").write_text("\n".join([f"{head},split", *told]) + "\n")


def test_a_split_that_the_label_file_gives_is_followed_and_told(site, tmp_path):
    """A published data set keeps its published test cases; the description says so."""
    source = folder_of(tmp_path / "one", 20)
    with_splits(source, ["train"] * 12 + ["val"] * 4 + ["test"] * 4)

    site.take(source)

    data = CuratedDataset.open(site.dataset)
    assert [len(data.rows(split)) for split in SPLITS] == [12, 4, 4]
    sessions = open_store(site.home / "site.sqlite")
    assert Catalogue(site.home, sessions).get("chest").description["split"] == "given"
    close_store(sessions)


def test_a_patient_in_two_given_splits_stops_the_import(site, tmp_path):
    """Labels per image: one patient's pictures stand in train and in test."""
    source = folder_of(tmp_path / "one", 10)
    data = file_of(header("00001", 99), picture(99))
    (source / "again.dcm").write_bytes(data)
    rows = [f"1.2.3.{n}.1.1,{('normal', 'pneumonia')[n % 2]},train" for n in range(1, 11)]
    text = "\n".join(["SOPInstanceUID,finding,split", *rows, "1.2.3.99.1.1,pneumonia,test"])
    (source / "labels.csv").write_text(text + "\n")

    with pytest.raises(NotReady, match="1 patients stand in more than one split"):
        site.take(source)

    assert not list(site.dataset.glob("*/dataset.json"))


def test_a_word_that_is_no_split_stops_before_anything_is_written(site, tmp_path):
    """Column and row are named, the value is not."""
    source = folder_of(tmp_path / "one", 3)
    with_splits(source, ["train", "holdout", "test"])

    with pytest.raises(NotReady, match="column split, row 3") as error:
        site.take(source)

    assert "holdout" not in str(error.value)


def _splits(site: Site) -> dict[str, set[str]]:
    data = CuratedDataset.open(site.dataset)
    found: dict[str, set[str]] = {}
    for split in SPLITS:
        for patient in data.patients(data.rows(split)):
            found.setdefault(patient, set()).add(split)
    return found


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder and the version that an undisturbed import of it gives."""
    root = tmp_path_factory.mktemp("calm")
    source = folder_of(root / "source", 24)
    return source, Site(root / "home").take(source)["version"]


@pytest.mark.parametrize("moment", ["batch 10", "commit 3", "curating 1", "commit 5"])
def test_a_killed_import_ends_in_the_same_version_when_it_is_run_again(site, calm, moment):
    """Kill -9 in a batch, between rows and their commit, before and while naming the version."""
    source, expected = calm
    words = ["-m", "tests.site_node.imaging.dying", str(site.home), str(source), *moment.split()]

    died = subprocess.run([sys.executable, *words], cwd=ROOT, check=False, capture_output=True)
    told = site.take(source)

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert told["version"] == expected
    assert told["imported"] == 24
    assert kept_pictures(site) == {picture(n).tobytes(): n % 2 for n in range(1, 25)}
    assert not list(site.dataset.glob("*.partial"))


def test_a_full_disk_keeps_what_was_there_and_says_what_is_needed(site, tmp_path):
    """Nothing half-written; with room, the same command goes on."""
    source = folder_of(tmp_path / "one", 6)
    site.take(source)
    before, site.free = state(site), 10

    with pytest.raises(NotReady, match=r"full.*more are needed"):
        site.take(folder_of(tmp_path / "two", 6, first=50))

    assert state(site) == before
    site.free = 1 << 40
    assert site.take(tmp_path / "two")["new_version"]


def test_the_same_picture_under_two_patients_is_used_for_neither(site, tmp_path):
    """Nobody can know whose picture it is."""
    source = folder_of(tmp_path / "one", 4)
    (source / "twin.dcm").write_bytes(file_of(header("00002", 77), picture(1)))

    told = site.take(source)

    assert told["reasons"] == {"same_image_two_patients": 2}
    assert told["imported"] == 3


def test_a_later_import_takes_an_earlier_picture_out_when_two_patients_claim_it(site, tmp_path):
    """The one that was used alone for a week is used no more; a third claim changes nothing."""
    site.take(folder_of(tmp_path / "one", 4))
    second = folder_of(tmp_path / "two", 5)
    (second / "twin.dcm").write_bytes(file_of(header("00002", 77), picture(1)))

    told = site.take(second)
    (second / "third.dcm").write_bytes(file_of(header("00003", 78), picture(1)))
    again = site.take(second)

    assert told["reasons"] == {"same_image_two_patients": 2}
    assert again["reasons"] == {"same_image_two_patients": 3}
    assert (told["imported"], again["imported"]) == (4, 4)


def test_one_uid_for_two_pictures_keeps_the_first_and_names_the_other(site, tmp_path):
    """A PACS once kept one of two such pictures and told nobody."""
    source = folder_of(tmp_path / "one", 4)
    (source / "other.dcm").write_bytes(file_of(header("00001", 1), picture(99)))

    told = site.take(source)

    assert told["reasons"] == {"uid_conflict": 1}
    assert told["imported"] == 4


def test_copies_are_skipped_and_counted(site, tmp_path):
    """The same bytes, and the same picture with another header."""
    source = folder_of(tmp_path / "one", 4)
    shutil.copy(source / "00001.dcm", source / "copy.dcm")
    (source / "again.dcm").write_bytes(
        file_of(header("00001", 1, StudyDate="20240102"), picture(1))
    )

    told = site.take(source)

    assert told["skipped_because"] == {
        "duplicate_bytes": 1,
        "duplicate_image": 1,
        "labels_file": 1,
    }
    assert told["files"] == 7


def test_a_second_import_at_the_same_time_is_told_who_runs(site, tmp_path):
    """Two imports in one home would cut each other's rows."""
    source = folder_of(tmp_path / "one", 4)

    with only_one_import(site.home), pytest.raises(NotReady, match=f"process {os.getpid()}"):
        site.take(source)


def test_what_the_catalogue_says_fits_the_record_of_a_registration(site, tmp_path):
    """The summary can be signed and sent as it is; small counts are hidden in it."""
    site.take(folder_of(tmp_path / "one", 12))
    sessions = open_store(site.home / "site.sqlite")

    (row,) = Catalogue(site.home, sessions).datasets()

    close_store(sessions)
    DatasetRegistered(
        dataset=row.name,
        version=row.version,
        modality=row.modality,
        body_part=row.body_part,
        duo=["GRU"],
        disease=[],
        examples="<floor",
        patients="<floor",
        description_sha256=row.description_sha256,
        deid=row.deid,
        quality_sha256=row.quality_sha256,
    )
    assert (row.modality, row.body_part, row.patients) == (["cr"], ["chest"], 12)
    assert row.dir.is_dir()
    test = row.description["samples"]["test"]
    assert all(told in (0, "<5") for told in test.values())
    assert row.description["patients"] == "≥5"


def test_the_list_of_left_out_files_stays_in_the_home_for_its_owner_only(site, tmp_path):
    """Paths often hold names."""
    source = folder_of(tmp_path / "one", 4)
    (source / "note.txt").write_text("no picture")

    site.take(source, list_files=True)

    listing = site.home / "quarantine.csv"
    assert listing.read_text().splitlines() == ["file,reason", "note.txt,not_dicom"]
    assert listing.stat().st_mode & 0o777 == 0o600
