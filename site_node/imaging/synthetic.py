"""DICOM folders of hospitals that do not exist: `python -m site_node.imaging.synthetic --help`.

From a MedMNIST-style file (train, val and test images and labels) or from drawn phantoms. Each
hospital writes in its own habit: 16 bits with a rescale and a window, MONOCHROME1, or a compressed
transfer syntax. Names, numbers and birth dates are made up by a seeded generator.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    ExplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
)

from site_node.imaging.phantoms import DEVICES, draw

Images: TypeAlias = NDArray[np.uint8]

NAMES = ("north", "south", "west", "east", "lake", "hill", "coast", "isle")
FINDINGS = ("normal", "pneumonia")
COMPRESSED = (
    (JPEGLSLossless, "pyjpegls"),
    (RLELossless, "pydicom"),
)
SHIFT = 4
SLOPE, INTERCEPT = 0.5, -1024
GIVEN = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gus", "Hedy", "Ivo", "Jun", "Kai", "Lea")
FAMILY = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fir", "Ginkgo", "Hazel", "Ilex", "Juniper")
UID_DIGITS = 38
PIXEL_TAG = b"\xe0\x7f\x10\x00"
ENCAPSULATED = PIXEL_TAG + b"OB\0\0\xff\xff\xff\xff"
SEQUENCE_END = b"\xfe\xff\xdd\xe0\0\0\0\0"
MARKS = {
    "instance": "2.25." + "1" * UID_DIGITS,
    "study": "2.25." + "2" * UID_DIGITS,
    "series": "2.25." + "3" * UID_DIGITS,
    "patient": "PPPPPPPP",
    "name": "N" * 24,
    "born": "19010101",
    "age": "001Y",
    "sex": "O ",
}
"""Stand-ins of fixed length; one header per hospital is encoded once, then only these change."""


@dataclass(frozen=True)
class Habit:
    """How a hospital writes its files."""

    kind: str
    compression: int = 0


def habit_of(place: int) -> Habit:
    """Rescaled 16 bits, MONOCHROME1, compressed; hospitals after the third begin anew."""
    kind = ("rescaled", "inverted", "compressed")[place % 3]
    return Habit(kind, place // 3 % len(COMPRESSED))


class Writer:
    """Writes one hospital's files.

    Args:
        folder: where to.
        place: number of the hospital from 0.
        random: for everything that is made up.
    """

    def __init__(self, *, folder: Path, place: int, random: np.random.Generator) -> None:
        self._folder, self._place, self._random = folder, place, random
        self._habit = habit_of(place)
        self._templates: dict[tuple[int, ...], bytes] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def write(
        self, images: Images, findings: Sequence[int], splits: Sequence[str] | None = None
    ) -> None:
        """Write one file per patient, and the labels with the split where one is given."""
        with (self._folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            labels = csv.writer(file)
            labels.writerow(("PatientID", "finding", *(("split",) if splits else ())))
            for number, (image, finding) in enumerate(zip(images, findings, strict=True)):
                patient = f"{self._place + 1}{number + 1:07d}"
                self._write_file(patient, image)
                split = (splits[number],) if splits else ()
                labels.writerow((patient, FINDINGS[int(finding)], *split))

    def _write_file(self, patient: str, image: Images) -> None:
        header = self._template(image.shape)
        for mark, told in self._identity(patient).items():
            header = header.replace(MARKS[mark].encode(), told.encode())
        (self._folder / f"{patient}.dcm").write_bytes(header + self._element(image))

    def _element(self, image: Images) -> bytes:
        """The pixel data element: explicit little endian, native or in one fragment."""
        pixels = self._pixels(image)
        if self._habit.kind == "compressed":
            return ENCAPSULATED + encapsulate([pixels]) + SEQUENCE_END
        kind = b"OW" if self._habit.kind == "rescaled" else b"OB"
        pixels += b"\0" * (len(pixels) % 2)
        return PIXEL_TAG + kind + b"\0\0" + len(pixels).to_bytes(4, "little") + pixels

    def _pixels(self, image: Images) -> bytes:
        if self._habit.kind == "rescaled":
            return (image.astype("<u2") << SHIFT).tobytes()
        if self._habit.kind == "inverted":
            return (255 - image).astype(np.uint8).tobytes()
        syntax, plugin = COMPRESSED[self._habit.compression]
        return get_encoder(syntax).encode(
            np.ascontiguousarray(image),
            encoding_plugin=plugin,
            rows=image.shape[0],
            columns=image.shape[1],
            samples_per_pixel=1,
            bits_allocated=8,
            bits_stored=8,
            pixel_representation=0,
            photometric_interpretation="MONOCHROME2",
            number_of_frames=1,
        )

    def _identity(self, patient: str) -> dict[str, str]:
        random = self._random
        family, given = (list_[int(random.integers(len(list_)))] for list_ in (FAMILY, GIVEN))
        years = int(random.integers(20, 90))
        born = f"{2024 - years}{int(random.integers(1, 13)):02d}{int(random.integers(1, 29)):02d}"
        uids = {mark: made_up_uid(random) for mark in ("instance", "study", "series")}
        return uids | {
            "patient": patient,
            "name": f"{family}^{given} {patient}".ljust(24)[:24],
            "born": born,
            "age": f"{years:03d}Y",
            "sex": ("F ", "M ")[int(random.integers(2))],
        }

    def _template(self, shape: tuple[int, ...]) -> bytes:
        if shape not in self._templates:
            self._templates[shape] = _encode(_header(self._habit, shape))
        return self._templates[shape]


def made_up_uid(random: np.random.Generator) -> str:
    """A UID of 45 characters that means nothing."""
    digits = "".join(str(digit) for digit in random.integers(0, 10, UID_DIGITS - 1))
    return f"2.25.{int(random.integers(1, 4))}{digits}"


def _header(habit: Habit, shape: tuple[int, ...]) -> Dataset:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = (
        COMPRESSED[habit.compression][0] if habit.kind == "compressed" else ExplicitVRLittleEndian
    )
    header.SpecificCharacterSet = "ISO_IR 192"
    header.SOPClassUID = ComputedRadiographyImageStorage
    header.SOPInstanceUID = MARKS["instance"]
    header.StudyInstanceUID, header.SeriesInstanceUID = MARKS["study"], MARKS["series"]
    header.StudyDate, header.StudyTime, header.Modality = "20240315", "101500", "CR"
    header.PatientName, header.PatientID = MARKS["name"], MARKS["patient"]
    header.PatientBirthDate, header.PatientSex = MARKS["born"], MARKS["sex"]
    header.PatientAge, header.BodyPartExamined = MARKS["age"], "CHEST"
    header.ViewPosition, header.BurnedInAnnotation = "PA", "NO"
    header.PixelSpacing = [0.5, 0.5]
    header.Rows, header.Columns, header.SamplesPerPixel = shape[0], shape[1], 1
    _describe_pixels(header, habit)
    return header


def _describe_pixels(header: Dataset, habit: Habit) -> None:
    header.PixelRepresentation = 0
    header.BitsAllocated = header.BitsStored = 8
    header.PhotometricInterpretation = "MONOCHROME2"
    if habit.kind == "inverted":
        header.PhotometricInterpretation = "MONOCHROME1"
    if habit.kind == "rescaled":
        header.BitsAllocated, header.BitsStored = 16, 12
        header.RescaleSlope, header.RescaleIntercept = str(SLOPE), str(INTERCEPT)
        top = (255 << SHIFT) * SLOPE
        header.WindowCenter, header.WindowWidth = str(INTERCEPT + top / 2), str(top)
        header.VOILUTFunction = "LINEAR_EXACT"
    header.HighBit = header.BitsStored - 1


def _encode(header: Dataset) -> bytes:
    """A file up to its pixels."""
    out = BytesIO()
    header.save_as(out, enforce_file_format=True)
    return out.getvalue()


def shares(sites: int, *, phantoms: bool) -> list[float]:
    """How much of all cases each hospital has; for three about 60, 30 and 10 %.

    Of the few phantoms the smallest hospital gets 22 %, else its test set would be too small for
    an AUC that may be shown.
    """
    weights = [(sites - place) ** (0.65 if phantoms else 1.63) for place in range(sites)]
    return [weight / sum(weights) for weight in weights]


def read_npz(path: Path) -> tuple[Images, NDArray[Any], NDArray[Any]]:
    """All images (n, H, W), labels (n,) and split words (n,) of a MedMNIST-style file."""
    with np.load(path, allow_pickle=False) as file:
        parts = ("train", "val", "test")
        images = np.concatenate([file[f"{part}_images"] for part in parts])
        labels = np.concatenate([file[f"{part}_labels"].reshape(-1) for part in parts])
        splits = np.repeat(parts, [len(file[f"{part}_labels"]) for part in parts])
    return images.astype(np.uint8), labels, splits


def make(out: Path, *, sites: int, seed: int, npz: Path | None, patients: int) -> list[Path]:
    """Make one folder per hospital; the same seed makes the same bytes.

    Args:
        out: folder of the folders.
        sites: how many hospitals.
        seed: of everything that is made up.
        npz: a MedMNIST-style file; without it phantoms are drawn.
        patients: how many phantoms in all.
    """
    random = np.random.default_rng(seed)
    folders = []
    images, findings, splits = read_npz(npz) if npz else (None, None, None)
    count = patients if images is None else len(images)
    order = random.permutation(count)
    ends = np.rint(np.cumsum([0, *shares(sites, phantoms=npz is None)]) * count).astype(int)
    for place in range(sites):
        chosen = order[ends[place] : ends[place + 1]]
        name = NAMES[place % len(NAMES)]
        folder = out / f"{place + 1}-{name}"
        words: list[str] | None = None
        if images is None or findings is None or splits is None:
            some, marks = draw(len(chosen), DEVICES[place % len(DEVICES)], random)
        else:
            some, marks = images[chosen], findings[chosen]
            words = [str(word) for word in splits[chosen]]
        writer = Writer(folder=folder, place=place, random=random)
        writer.write(some, [int(mark) for mark in marks], words)
        folders.append(folder)
    return folders


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m site_node.imaging.synthetic")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--sites", type=int, default=3, choices=range(1, 9), help="hospitals")
    parser.add_argument("--seed", type=int, default=7, help="of everything made up")
    parser.add_argument("--patients", type=int, default=900, help="phantoms in all")
    parser.add_argument("--npz", type=Path, help="a MedMNIST-style file instead of phantoms")
    asked = parser.parse_args()
    make(asked.out, sites=asked.sites, seed=asked.seed, npz=asked.npz, patients=asked.patients)


if __name__ == "__main__":
    main()
