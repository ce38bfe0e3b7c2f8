"""DICOM Segmentations as labels: a mask lies where its image lies, or there is none."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from compliance.errors import NotReady
from site_node.imaging.catalogue import Catalogue
from site_node.imaging.curated import CuratedDataset
from site_node.imaging.synthetic_masks import seg_file
from site_node.imaging.synthetic_series import Series, ct_files
from site_node.store.journal import close_store
from site_node.store.schema import open_store
from tests.site_node.imaging import bodies
from tests.site_node.imaging.bodies import (
    SHAPE,
    Hospital,
    drawn,
    folder_of,
    rows_by_body,
    write,
)
from tests.site_node.imaging.files import file_of, header, picture

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    """A hospital that wants lesions."""
    return Hospital(tmp_path / "home", segments=True)


def changed(data: bytes, **changes: Any) -> bytes:
    """A file with other elements."""
    made = pydicom.dcmread(BytesIO(data))
    for name, value in changes.items():
        setattr(made, name, value)
    if "SOPInstanceUID" in changes:
        made.file_meta.MediaStorageSOPInstanceUID = changes["SOPInstanceUID"]
    out = BytesIO()
    made.save_as(out)
    return out.getvalue()


def one_series(root: Path, number: int, *masks: bytes) -> Series:
    """A series with these masks beside it."""
    _, series = drawn(number)
    write(root / f"p{number}", ct_files(series, np.random.default_rng(1)))
    write(root / f"p{number}", masks, "mask")
    return series


def test_every_volume_has_its_mask_voxel_by_voxel(hospital, tmp_path):
    """Through bits, frames, order, turn and shards: what was drawn comes out."""
    drawings = folder_of(tmp_path / "one", 3, masks=True)
    (tmp_path / "one" / "labels.csv").unlink()

    told = hospital.take(tmp_path / "one", seg=True)

    data = hospital.open()
    rows = rows_by_body(data, drawings)
    assert (told["imported"], told["quarantined"]) == (39, 0)
    assert (data.spec.task, data.spec.classes) == ("segmentation", ["lesion"])
    masks = data.masks(np.array([rows[number] for number in range(3)]))
    assert masks.dtype == np.uint8
    assert np.array_equal(masks, [body.lesions for body in drawings])
    assert all(mask.any() for mask in masks)
    _, labels = data.batch(np.arange(3))
    assert labels.tolist() == [[1.0]] * 3


def test_masks_follow_their_volume_onto_another_grid(tmp_path):
    """Nearest neighbour, around the same middle; never a value between two classes."""
    hospital = Hospital(
        tmp_path / "home", segments=True, size=[16, 30, 36], spacing=[2.5, 1.0, 1.0]
    )
    (body,) = folder_of(tmp_path / "one", 1, masks=True)

    hospital.take(tmp_path / "one", seg=True)

    mask = hospital.open().masks(np.array([0]))[0]
    twice = body.lesions.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(mask[2:14], twice[:, 5:35, 6:42])
    assert not mask[[0, 1, 14, 15]].any()


def test_a_volume_without_a_segmentation_has_no_label(hospital, tmp_path):
    """Not an empty mask: nobody looked."""
    folder_of(tmp_path / "one", 2, masks=True)
    one_series(tmp_path / "one", 9)
    (tmp_path / "one" / "labels.csv").unlink()

    told = hospital.take(tmp_path / "one", seg=True)

    assert told["skipped_because"] == {"no_label": 12}
    assert len(hospital.open()) == 2


def test_a_segmentation_that_found_nothing_is_an_empty_mask(hospital, tmp_path):
    """Somebody looked: the volume counts, and in no class."""
    _, series = drawn(1)
    empty = seg_file(series, np.zeros(SHAPE, np.uint8), np.random.default_rng(3))
    one_series(tmp_path / "one", 1, empty)

    told = hospital.take(tmp_path / "one", seg=True)

    assert (told["imported"], sum(told["images"].values())) == (13, 1)
    assert not hospital.open().masks(np.array([0])).any()
    sessions = json.loads((_version(hospital) / "quality.json").read_text())
    assert sum(split["lesion"] for split in sessions["samples"].values()) == 0


def _version(hospital: Hospital) -> Path:
    (folder,) = [path for path in hospital.dataset.iterdir() if path.is_dir()]
    return folder


def test_two_readers_who_drew_the_same_voxel_are_a_conflict(hospital, tmp_path):
    """Which one is right nobody here can know."""
    body, series = drawn(1)
    masks = [seg_file(series, body.lesions, np.random.default_rng(n)) for n in (3, 4)]
    one_series(tmp_path / "one", 1, *masks)
    body, series = drawn(2)
    one_series(tmp_path / "one", 2, seg_file(series, body.lesions, np.random.default_rng(5)))

    told = hospital.take(tmp_path / "one", seg=True)

    assert told["reasons"] == {"label_conflict": 12}
    assert told["skipped_because"] == {"segmentation_unused": 2}
    assert len(hospital.open()) == 1


def test_segments_that_are_not_on_the_list_are_no_label(tmp_path):
    """A closed list: what the recipe does not name is not there."""
    hospital = Hospital(tmp_path / "home", segments=True)
    told = json.loads(hospital.recipe.read_text())
    told["segments"] = [{"name": "kidney", "code": "SCT:64033007"}]
    hospital.recipe.write_text(json.dumps(told))
    folder_of(tmp_path / "one", 1, masks=True)
    (tmp_path / "one" / "labels.csv").unlink()

    with pytest.raises(NotReady, match=r"no image has a mask.*segmentation_unused 1"):
        hospital.take(tmp_path / "one", seg=True)


def test_a_mask_in_another_frame_of_reference_is_not_laid_on_a_volume(hospital, tmp_path):
    """Its numbers mean other places."""
    body, series = drawn(1)
    mask = seg_file(series, body.lesions, np.random.default_rng(3))
    one_series(tmp_path / "one", 1, changed(mask, FrameOfReferenceUID="1.2.3"))

    with pytest.raises(NotReady, match="no image has a mask"):
        hospital.take(tmp_path / "one", seg=True)


def test_a_mask_of_another_patient_is_not_laid_on_a_volume(hospital, tmp_path):
    """References do not outweigh the patient."""
    body, series = drawn(1)
    mask = seg_file(series, body.lesions, np.random.default_rng(3))
    one_series(tmp_path / "one", 1, changed(mask, PatientID="00002"))

    with pytest.raises(NotReady, match="no image has a mask"):
        hospital.take(tmp_path / "one", seg=True)


def test_a_mask_without_references_finds_its_volume_by_place(hospital, tmp_path):
    """Same patient, same frame of reference, same planes."""
    body, series = drawn(1)
    data = seg_file(series, body.lesions, np.random.default_rng(3))
    made = pydicom.dcmread(BytesIO(data))
    del made.ReferencedSeriesSequence
    for group in made.PerFrameFunctionalGroupsSequence:
        del group.DerivationImageSequence
    out = BytesIO()
    made.save_as(out)
    one_series(tmp_path / "one", 1, out.getvalue())

    hospital.take(tmp_path / "one", seg=True)

    assert np.array_equal(hospital.open().masks(np.array([0]))[0], body.lesions)


def test_a_mask_that_comes_later_makes_a_new_version_and_no_image_is_read_again(hospital, tmp_path):
    """Same name, same patients, one sample more; the old version still opens."""
    folder_of(tmp_path / "one", 2, masks=True)
    one_series(tmp_path / "one", 9)
    first = hospital.take(tmp_path / "one", seg=True)
    body, series = drawn(9)
    write(tmp_path / "one", [seg_file(series, body.lesions, np.random.default_rng(3))], "late")

    second = hospital.take(tmp_path / "one", seg=True)

    assert (second["new_version"], second["read_now"]) == (True, 1)
    assert len(hospital.open()) == 3
    name = first["version"].removeprefix("sha256:")[:12]
    old = CuratedDataset.open(hospital.dataset / name)
    assert (len(old), len(old.masks(np.arange(2)))) == (2, 2)


def test_several_children_put_the_same_dataset_together(tmp_path):
    """Answers come in any order; every slice and mask has its own place."""
    folder_of(tmp_path / "one", 3, masks=True)
    one, three = (Hospital(tmp_path / f"home-{jobs}", segments=True) for jobs in (1, 3))
    three.jobs = 3

    versions = {site.take(tmp_path / "one", seg=True)["version"] for site in (one, three)}

    assert len(versions) == 1
    rows = np.arange(3)
    assert np.array_equal(one.open().batch(rows)[0], three.open().batch(rows)[0])
    assert np.array_equal(one.open().masks(rows), three.open().masks(rows))


@pytest.mark.parametrize("moment", ["mask 2", "commit 11"])
def test_a_killed_import_of_masks_ends_in_the_same_version(tmp_path, moment):
    """Between the second mask and its commit, and while masks are written."""
    drawings = folder_of(tmp_path / "one", 2, masks=True)
    (tmp_path / "one" / "labels.csv").unlink()
    calm = Hospital(tmp_path / "calm", segments=True)
    expected = calm.take(tmp_path / "one", seg=True)["version"]
    hospital = Hospital(tmp_path / "home", segments=True)
    words = ["-m", "tests.site_node.imaging.dying", str(hospital.home), str(tmp_path / "one")]

    died = subprocess.run(
        [sys.executable, *words, *moment.split()], cwd=ROOT, check=False, capture_output=True
    )
    told = hospital.take(tmp_path / "one", seg=True)

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert told["version"] == expected
    rows = rows_by_body(hospital.open(), drawings)
    masks = hospital.open().masks(np.array([rows[0], rows[1]]))
    assert np.array_equal(masks, [body.lesions for body in drawings])


def test_a_mask_lies_on_its_radiograph(tmp_path):
    """2D: found by reference, fitted as the image is fitted."""
    hospital = Hospital(tmp_path / "home")
    hospital.recipe.write_text(json.dumps({"size": [8, 16], "segments": bodies.LESIONS}))
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, 2:5, 1:3] = 1
    for number in (1, 2, 3):
        (tmp_path / "one").mkdir(exist_ok=True)
        data = file_of(header(f"{number:05d}", number), picture(number))
        (tmp_path / "one" / f"{number}.dcm").write_bytes(data)
    for number in (1, 2):
        (tmp_path / "one" / f"m{number}.dcm").write_bytes(_flat(number, mask))

    told = hospital.take(tmp_path / "one", seg=True)

    data = hospital.open()
    assert (told["imported"], told["skipped_because"]) == (4, {"no_label": 1})
    assert data.masks(np.arange(2)).shape == (2, 8, 16)
    assert np.array_equal(data.masks(np.arange(2))[0, :, 4:12], mask[0])
    assert data.masks(np.arange(2)).sum() == 12
    with pytest.raises(NotReady, match="no volumes"):
        data.affines(np.array([0]))


def _flat(number: int, mask: np.ndarray) -> bytes:
    """A segmentation of radiograph `number`; it has no place, only a reference."""
    _, series = drawn(number)
    made = pydicom.dcmread(BytesIO(seg_file(series, mask, np.random.default_rng(number))))
    made.PatientID = f"{number:05d}"
    del made.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence
    for group in made.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
        source = group.DerivationImageSequence[0].SourceImageSequence[0]
        source.ReferencedSOPInstanceUID = f"1.2.3.{number}.1.1"
    out = BytesIO()
    made.save_as(out)
    return out.getvalue()


def test_masks_need_a_list_of_segments(tmp_path):
    """And either masks or labels, not both."""
    hospital = Hospital(tmp_path / "home")
    folder_of(tmp_path / "one", 1, masks=True)

    with pytest.raises(NotReady, match="which segments are wanted"):
        hospital.take(tmp_path / "one", seg=True)
    with pytest.raises(NotReady, match="either labels or masks"):
        hospital.take(tmp_path / "one", seg=True, labels=tmp_path / "one" / "labels.csv")


def test_a_dataset_without_masks_says_so(tmp_path):
    """Volumes with labels from a file."""
    hospital = Hospital(tmp_path / "home")
    folder_of(tmp_path / "one", 2)
    hospital.take(tmp_path / "one")

    with pytest.raises(NotReady, match="has no masks"):
        hospital.open().masks(np.array([0]))


def test_a_dataset_of_masks_can_be_counted_described_and_registered(hospital, tmp_path):
    """Samples per class are those in which the class is; a case left out is in no count."""
    folder_of(tmp_path / "one", 3, masks=True, faults=["none", "none", "gap"])
    (tmp_path / "one" / "labels.csv").unlink()
    hospital.take(tmp_path / "one", seg=True)
    sessions = open_store(hospital.home / "site.sqlite")

    catalogue = Catalogue(hospital.home, sessions)
    summary, cells = catalogue.get("chest"), catalogue.cells("chest")

    close_store(sessions)
    assert cells == {("ct", "chest", "60-69", "female", "lesion"): 2}
    assert (sum(summary.n_by_split.values()), summary.positives, summary.patients) == (2, {}, 2)
    assert summary.description["task"] == {"kind": "segmentation", "classes": ["lesion"]}
    told = {fact["name"]: fact["value"] for fact in summary.croissant["variableMeasured"]}
    assert (told["task"], told["shape"]) == ("segmentation", "1 x 12 x 20 x 24")
    assert told["images, train, lesion"] in ("<floor", "0")
