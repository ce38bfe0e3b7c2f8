"""From slices to volumes: every voxel where it belongs, or the series left out by name."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest

from compliance.errors import NotReady
from tests.site_node.imaging import bodies
from tests.site_node.imaging.bodies import SHAPE, Hospital, drawn, folder_of, rows_by_body, write

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def hospital(tmp_path: Path) -> Hospital:
    """A hospital with an empty home."""
    return Hospital(tmp_path / "home")


def test_a_series_becomes_one_volume_voxel_by_voxel(hospital, tmp_path):
    """Shuffled instance numbers and file names; Hounsfield units as they were drawn."""
    drawings = folder_of(tmp_path / "one", 3)

    told = hospital.take(tmp_path / "one")

    data = hospital.open()
    assert (told["imported"], told["quarantined"], told["patients"]) == (36, 0, 3)
    assert data.spec.shape == (1, *SHAPE)
    assert data.spec.hu_range == (-1024, 3071)
    assert sorted(rows_by_body(data, drawings)) == [0, 1, 2]
    assert bodies.splits_of(data) == len(data) == 3
    images, labels = data.batch(np.arange(3))
    rows = rows_by_body(data, drawings)
    assert [data.spec.classes[labels[rows[number]]] for number in range(3)] == [
        "nodule",
        "normal",
        "nodule",
    ]
    assert np.abs(images[0, 0] * 4095 - 1024 - bodies.volumes_in(data)[0]).max() < 0.04


def test_the_affine_says_where_a_voxel_lies(hospital, tmp_path):
    """The first voxel of the volume is the first one of the lowest slice."""
    folder_of(tmp_path / "one", 1)
    hospital.take(tmp_path / "one")

    (affine,) = hospital.open().affines(np.array([0]))

    assert np.allclose(affine @ [0, 0, 0, 1], (-32, -32, 100, 1), atol=0.01)
    assert np.allclose(affine @ [3, 5, 7, 1], (-32 + 14, -32 + 10, 100 + 7.5, 1), atol=0.01)


def test_an_enhanced_object_gives_the_volume_of_its_slices(hospital, tmp_path):
    """One file with shuffled frames, the same voxels."""
    drawings = folder_of(tmp_path / "one", 2, enhanced=True)

    told = hospital.take(tmp_path / "one")

    assert told["imported"] == 2
    assert sorted(rows_by_body(hospital.open(), drawings)) == [0, 1]


def test_every_fault_of_a_series_is_named_and_the_others_are_kept(hospital, tmp_path):
    """Each file has its outcome, the quality report counts it; a scout spoils nothing."""
    faults = ["tilt", "gap", "duplicate", "mixed", "scout", "none"]
    drawings = folder_of(tmp_path / "one", 6, faults=faults)
    reasons = {
        "series_tilted": 12,
        "series_uneven": 11,
        "series_duplicate_position": 13,
        "series_mixed_geometry": 12,
    }

    told = hospital.take(tmp_path / "one")

    assert told["reasons"] == reasons
    assert told["skipped_because"] == {"labels_file": 1, "localizer_left_out": 1}
    assert sorted(rows_by_body(hospital.open(), drawings)) == [4, 5]
    counted = reasons | {"localizer_left_out": 1}
    assert {name: told["quality"].get(name) for name in counted} == counted


def test_too_few_slices_are_no_volume(tmp_path):
    """The recipe says how many."""
    hospital = Hospital(tmp_path / "home", min_slices=13)
    folder_of(tmp_path / "one", 1)

    with pytest.raises(NotReady, match="series_too_short 12"):
        hospital.take(tmp_path / "one")


def test_a_missing_slice_that_comes_later_makes_the_volume(hospital, tmp_path):
    """What was refused is judged anew; nothing has to be released."""
    drawings = folder_of(tmp_path / "one", 2)
    whole = hospital.take(tmp_path / "one")["version"]
    other = Hospital(tmp_path / "other")
    late = next(iter(sorted((tmp_path / "one" / "p1").iterdir(), reverse=True)))
    shutil.move(late, tmp_path / late.name)

    assert other.take(tmp_path / "one")["reasons"] == {"series_uneven": 11}
    shutil.move(tmp_path / late.name, late)
    told = other.take(tmp_path / "one")

    assert told["reasons"] == {}
    assert told["version"] == whole
    assert len(rows_by_body(other.open(), drawings)) == 2


def test_slices_of_a_series_in_two_folders_wait_for_each_other(hospital, tmp_path):
    """A volume needs all its files at once; until then it is counted as incomplete."""
    folder_of(tmp_path / "one", 2)
    part = tmp_path / "part"
    part.mkdir()
    files = sorted((tmp_path / "one" / "p1").iterdir(), key=lambda path: path.name)
    shutil.copytree(tmp_path / "one" / "p2", part / "p2")
    for path in files[:6]:
        shutil.move(path, part)
    shutil.copy(tmp_path / "one" / "labels.csv", part)

    hospital.take(tmp_path / "one")
    told = hospital.take(part)

    assert told["skipped_because"] == {"labels_file": 1, "series_incomplete": 6}
    assert len(hospital.open()) == 1


def test_names_folders_order_and_an_archive_give_the_same_version(tmp_path):
    """Also in two steps, and twice."""
    folder_of(tmp_path / "one", 3)
    packed = tmp_path / "all.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        for number, path in enumerate(sorted((tmp_path / "one").rglob("*.dcm"), reverse=True)):
            archive.write(path, f"x/{number * 5 % 36}-{number}.dcm")
    labels = tmp_path / "one" / "labels.csv"
    first, second, third = (Hospital(tmp_path / f"home-{n}") for n in range(3))

    version = first.take(tmp_path / "one")["version"]

    again = first.take(tmp_path / "one")
    assert (again["version"], again["new_version"], again["read_now"]) == (version, False, 0)
    assert second.take(packed, labels=labels)["version"] == version
    third.take(tmp_path / "one" / "p2", labels=labels)
    assert third.take(tmp_path / "one")["version"] == version


@pytest.mark.parametrize("moment", ["batch 10", "volume 2", "commit 9", "commit 10"])
def test_a_killed_import_of_volumes_ends_in_the_same_version(tmp_path, moment):
    """Kill -9 among slices, between a volume and its commit, and while naming the version."""
    drawings = folder_of(tmp_path / "one", 3)
    expected = Hospital(tmp_path / "calm").take(tmp_path / "one")["version"]
    hospital = Hospital(tmp_path / "home")
    words = ["-m", "tests.site_node.imaging.dying", str(hospital.home), str(tmp_path / "one")]

    died = subprocess.run(
        [sys.executable, *words, *moment.split()], cwd=ROOT, check=False, capture_output=True
    )
    told = hospital.take(tmp_path / "one")

    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert told["version"] == expected
    assert sorted(rows_by_body(hospital.open(), drawings)) == [0, 1, 2]
    assert len(list((hospital.home / "work").glob("*"))) == 0


def test_spacing_is_brought_to_the_recipes(tmp_path):
    """Half the slices, a part of the plane: the middle of the body stays in the middle."""
    hospital = Hospital(tmp_path / "home", size=[8, 10, 12], spacing=[5.0, 2.0, 2.0])
    (body,) = folder_of(tmp_path / "one", 1)

    hospital.take(tmp_path / "one")

    volume = bodies.volumes_in(hospital.open())[0]
    cut = body.units[:, 5:15, 6:18].astype(float)
    wanted = np.rint((cut[0::2] + cut[1::2]) / 2 - 0.01)
    assert np.abs(volume[1:7] - wanted).max() <= 1
    assert (volume[[0, 7]] == -1024).all()


def test_values_without_a_common_scale_reach_from_percentile_to_percentile(tmp_path):
    """A recipe without Hounsfield units spreads each volume for itself."""
    hospital = Hospital(tmp_path / "home", intensity="relative")
    (body,) = folder_of(tmp_path / "one", 1)

    hospital.take(tmp_path / "one")

    images, _ = hospital.open().batch(np.array([0]))
    low, high = np.percentile(body.units, (0.5, 99.5))
    wanted = np.clip((body.units - low) / (high - low), 0, 1)
    assert hospital.open().spec.hu_range is None
    assert np.abs(images[0, 0] - wanted).max() < 0.01


def test_a_ct_without_rescale_has_no_hounsfield_units(hospital, tmp_path):
    """The file is named; a guess would shift every tissue."""
    folder_of(tmp_path / "one", 2)
    path = next(iter((tmp_path / "one" / "p1").iterdir()))
    _without(path, "RescaleSlope", "RescaleIntercept")

    told = hospital.take(tmp_path / "one")

    assert told["reasons"]["number_not_usable"] == 1


def test_one_series_under_two_patients_is_used_for_neither(hospital, tmp_path):
    """Air looks the same in every patient, a whole body does not."""
    folder_of(tmp_path / "one", 2)
    _, series = drawn(1)
    stolen = [path.read_bytes() for path in sorted((tmp_path / "one" / "p1").iterdir())]
    write(tmp_path / "one" / "p3", [_renamed(data, series.series) for data in stolen])

    told = hospital.take(tmp_path / "one")

    assert told["reasons"] == {"same_image_two_patients": 24}
    assert told["patients"] == 1


def test_a_series_sent_twice_under_new_names_is_one_sample(hospital, tmp_path):
    """A PACS that renames what it hands out."""
    folder_of(tmp_path / "one", 2)
    _, series = drawn(1)
    again = [path.read_bytes() for path in sorted((tmp_path / "one" / "p1").iterdir())]
    write(tmp_path / "one" / "p3", [_renamed(data, series.series, "00001") for data in again])
    labels = tmp_path / "one" / "labels.csv"
    labels.write_text("PatientID,finding\n00001,normal\n00002,nodule\n")

    told = hospital.take(tmp_path / "one")

    assert told["skipped_because"] == {"labels_file": 1, "duplicate_image": 12}
    assert len(hospital.open()) == 2


def test_slices_that_look_alike_are_no_contradiction(hospital, tmp_path):
    """Two patients with the same slice of nothing above the body."""
    for number in (1, 2):
        _, series = drawn(number)
        empty = [one if place else bodies_slice(one) for place, one in enumerate(series.slices)]
        files = bodies.ct_files(
            type(series)(**(vars(series) | {"slices": tuple(empty)})), np.random.default_rng(9)
        )
        write(tmp_path / "one" / f"p{number}", files)
    (tmp_path / "one" / "labels.csv").write_text("PatientID,finding\n00001,normal\n00002,nodule\n")

    told = hospital.take(tmp_path / "one")

    assert (told["imported"], told["reasons"]) == (24, {})


def bodies_slice(one):
    """A slice of air."""
    return type(one)(np.full_like(one.units, -1000), one.position, one.instance, one.kind)


def _without(path: Path, *names: str) -> None:
    header = pydicom.dcmread(path)
    for name in names:
        delattr(header, name)
    header.save_as(path)


def _renamed(data: bytes, series: str, patient: str = "00003") -> bytes:
    """The same slice of another patient, with other UIDs of the same length."""
    header = pydicom.dcmread(BytesIO(data))
    header.PatientID = patient
    header.SOPInstanceUID = header.file_meta.MediaStorageSOPInstanceUID = (
        header.SOPInstanceUID[:-3] + "777"[: 3 - len(str(header.InstanceNumber))]
        + str(header.InstanceNumber)
    )  # fmt: skip
    header.SeriesInstanceUID = series[:-3] + "778"
    out = BytesIO()
    header.save_as(out)
    return out.getvalue()


def test_two_echoes_of_one_series_are_two_samples_of_one_patient(hospital, tmp_path):
    """Same places, other contrast: each is a volume, and both are in one split."""
    drawings = folder_of(tmp_path / "one", 1)
    for number, path in enumerate(sorted((tmp_path / "one" / "p1").iterdir())):
        second = pydicom.dcmread(path)
        second.EchoNumbers = 2
        second.SOPInstanceUID = second.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        second.PixelData = (second.pixel_array + 1).astype("<u2").tobytes()
        second.save_as(path.with_name(f"second-{number}.dcm"))

    told = hospital.take(tmp_path / "one")

    volumes = bodies.volumes_in(hospital.open())
    assert (told["imported"], told["patients"], sorted(told["images"].values())) == (
        24,
        1,
        [0, 0, 2],
    )
    assert sorted(int(volume.sum() - drawings[0].units.sum()) for volume in volumes) == [0, 5760]


def test_labels_of_single_slices_are_refused_before_anything_is_read(hospital, tmp_path):
    """They name no volume."""
    folder_of(tmp_path / "one", 1)
    labels = tmp_path / "labels.csv"
    labels.write_text("SOPInstanceUID,finding\n1.2.3,normal\n1.2.4,nodule\n")

    with pytest.raises(NotReady, match="name single slices"):
        hospital.take(tmp_path / "one", labels=labels)
