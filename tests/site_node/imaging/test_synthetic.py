"""Hospitals that do not exist: real DICOM files, three habits, one meaning."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest

from site_node.imaging.curated import SPLITS, CuratedDataset
from site_node.imaging.phantoms import DEVICES, draw
from site_node.imaging.synthetic import make, shares
from tests.shared import shared_data
from tests.site_node.imaging.files import Site, read


@pytest.fixture
def npz(tmp_path: Path) -> Path:
    """A MedMNIST-style file of 60 pictures."""
    random = np.random.default_rng(3)
    path = tmp_path / "set.npz"
    parts = {}
    for part, count in (("train", 40), ("val", 10), ("test", 10)):
        parts[f"{part}_images"] = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        parts[f"{part}_labels"] = random.integers(0, 2, (count, 1), dtype=np.uint8)
    np.savez(path, **parts)
    return path


def pictures(folder: Path) -> dict[bytes, str]:
    """Each picture as a hospital's import reads it, with its finding."""
    with (folder / "labels.csv").open(newline="") as file:
        findings = {row["PatientID"]: row["finding"] for row in csv.DictReader(file)}
    found = {}
    for path in folder.glob("*.dcm"):
        image = read(path.read_bytes(), 28).images[0]
        found[np.rint(image[0] / 257).astype(np.uint8).tobytes()] = findings[path.stem]
    return found


def test_every_picture_of_the_file_is_at_one_hospital_with_its_finding(tmp_path, npz):
    """Rescaled, inverted or compressed: each import reads the very same pixels."""
    made = make(tmp_path / "out", sites=4, seed=7, npz=npz, patients=0)

    found = [pictures(folder) for folder in made]

    with np.load(npz) as file:
        wanted = {
            image.tobytes(): ("normal", "pneumonia")[int(label[0])]
            for part in ("train", "val", "test")
            for image, label in zip(file[f"{part}_images"], file[f"{part}_labels"], strict=True)
        }
    assert {image: word for part in found for image, word in part.items()} == wanted
    assert sum(len(part) for part in found) == 60


def test_three_hospitals_have_three_habits_and_uneven_shares(tmp_path, npz):
    """About 60, 30 and 10 percent; names sort in the order of the hospitals."""
    made = make(tmp_path / "out", sites=3, seed=7, npz=npz, patients=0)

    assert made == sorted(made)
    assert [round(share, 1) for share in shares(3, phantoms=False)] == [0.6, 0.3, 0.1]
    first = [pydicom.dcmread(min(folder.glob("*.dcm"))) for folder in made]
    assert first[0].RescaleSlope == 0.5
    assert first[1].PhotometricInterpretation == "MONOCHROME1"
    assert first[2].file_meta.TransferSyntaxUID.is_compressed
    assert len({one.SOPInstanceUID for one in first}) == 3


def test_the_same_seed_makes_the_same_bytes(tmp_path):
    """A demo can be repeated."""
    folders = [make(tmp_path / name, sites=3, seed=7, npz=None, patients=30) for name in ("a", "b")]

    one, other = (
        {path.name: path.read_bytes() for folder in made for path in folder.glob("*")}
        for made in folders
    )
    assert one == other


def test_an_opacity_is_brighter_on_average_but_not_in_every_picture():
    """A task to learn, not a switch to read."""
    images, findings = draw(400, DEVICES[0], np.random.default_rng(5))

    brightness = images[:, 6:22, 4:24].mean(axis=(1, 2))
    ill, well = brightness[findings == 1], brightness[findings == 0]
    higher = np.mean(ill[:, None] > well[None])
    assert 0.55 < higher < 0.9


def test_real_radiographs_survive_the_way_through_dicom(tmp_path):
    """PneumoniaMNIST, 1 of 90 pictures, in and out of a hospital's import."""
    source = shared_data("imaging", "pneumoniamnist_rebuilt", "pneumoniamnist_rebuilt.npz")
    with np.load(source) as file:
        some = {name: file[name][::90] for name in file.files}
    np.savez(tmp_path / "some.npz", **some)
    made = make(tmp_path / "out", sites=3, seed=7, npz=tmp_path / "some.npz", patients=0)
    site = Site(tmp_path / "home")
    site.recipe.write_text('{"size": [28, 28]}')

    told = site.take(made[1])

    data = CuratedDataset.open(site.dataset)
    rows = np.concatenate([data.rows(split) for split in SPLITS])
    images, _ = data.batch(rows)
    originals = {
        image.tobytes() for part in ("train", "val", "test") for image in some[f"{part}_images"]
    }
    assert told["imported"] == len(rows) > 10
    assert {np.rint(image * 255).astype(np.uint8).tobytes() for image in images} <= originals
