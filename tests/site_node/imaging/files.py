"""DICOM files for tests: one small radiograph, every part of which a test may change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.encoders.base import get_encoder
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from site_node.imaging.deid.deidentify import Clean, Deidentifier
from site_node.imaging.deid.order import Order
from site_node.imaging.deid.profiles import TRAINING, Profile
from site_node.imaging.examine import Examined, examine
from site_node.imaging.importing import Importer, request_of
from site_node.imaging.keys import SiteKeys
from site_node.imaging.memo import Memo
from site_node.imaging.recipe import ImportRecipe
from site_node.imaging.workers import Crew, examiners
from site_node.store.journal import close_store
from site_node.store.schema import open_store

PLUGINS = {
    "1.2.840.10008.1.2.4.80": "pyjpegls",
    "1.2.840.10008.1.2.4.90": "pylibjpeg",
    "1.2.840.10008.1.2.5": "pydicom",
}
SECRET = bytes(range(32))
Shell = Callable[..., tuple[int, str, str]]
"""Runs a command: exit code, output, what was said."""

RECIPE = '{"kind": "2d", "size": [8, 8], "split": {"validation": 0.2, "test": 0.2}}'


def picture(seed: int = 1, side: int = 8) -> np.ndarray:
    """A picture of noise, 8 bits."""
    return np.random.default_rng(seed).integers(0, 256, (side, side), dtype=np.uint8)


def header(patient: str = "4711", number: int = 1, **changes: Any) -> Dataset:
    """A radiograph without pixels; `None` takes an element away."""
    made = Dataset()
    made.SOPClassUID = ComputedRadiographyImageStorage
    made.StudyInstanceUID = f"1.2.3.{number}"
    made.SeriesInstanceUID = f"1.2.3.{number}.1"
    made.SOPInstanceUID = f"1.2.3.{number}.1.1"
    made.PatientID, made.PatientName = patient, "Doe^Nobody"
    made.Modality, made.BodyPartExamined, made.PatientSex = "CR", "CHEST", "F"
    made.PatientAge, made.StudyDate, made.PixelSpacing = "063Y", "20240101", [0.2, 0.2]
    for name, value in changes.items():
        if value is None:
            delattr(made, name)
        else:
            setattr(made, name, value)
    return made


def file_of(
    made: Dataset, pixels: np.ndarray, *, syntax: str = ExplicitVRLittleEndian, bits: int = 0
) -> bytes:
    """The bytes of a file: header and pixels, encoded in a transfer syntax."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = pixels.shape[2] if pixels.ndim == 3 else 1
    made.BitsAllocated = pixels.dtype.itemsize * 8
    made.BitsStored = bits or made.BitsAllocated
    made.HighBit = made.BitsStored - 1
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    if "PhotometricInterpretation" not in made:
        made.PhotometricInterpretation = "MONOCHROME2"
    if syntax in PLUGINS:
        made.PixelData = encapsulate([compress(made, pixels, syntax)])
        made["PixelData"].is_undefined_length = True
    else:
        big = syntax == "1.2.840.10008.1.2.2"
        made.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    made["PixelData"].VR = "OB" if made.BitsAllocated == 8 or syntax in PLUGINS else "OW"
    out = BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def compress(made: Dataset, pixels: np.ndarray, syntax: str) -> bytes:
    """One frame, compressed."""
    return get_encoder(syntax).encode(
        pixels,
        encoding_plugin=PLUGINS[syntax],
        rows=made.Rows,
        columns=made.Columns,
        samples_per_pixel=made.SamplesPerPixel,
        bits_allocated=made.BitsAllocated,
        bits_stored=made.BitsStored,
        pixel_representation=made.PixelRepresentation,
        photometric_interpretation=made.PhotometricInterpretation,
        number_of_frames=1,
    )


def read(data: bytes, side: int = 8, **changes: Any) -> Examined:
    """Read a file as a child process would, at the size of its picture."""
    return examine(data, ImportRecipe(size=(side, side), **changes), cleaning())


def cleaning(profile: Profile = TRAINING) -> Clean:
    """De-identifies headers, remembering nothing."""
    return Deidentifier(profile, SiteKeys(SECRET), Memo(0)).run


def examiners_of(side: int = 8) -> Crew:
    """Children that read images of this size."""
    order = Order(TRAINING).line(SiteKeys(SECRET))
    return examiners(ImportRecipe(size=(side, side)), order)


def values(data: bytes, **changes: Any) -> np.ndarray:
    """The image of a file as fractions of full brightness, (8, 8)."""
    return read(data, **changes).images[0][0] / 65535


def folder_of(root: Path, count: int, *, first: int = 1) -> Path:
    """A folder of radiographs of different patients, labels beside them in `labels.csv`."""
    root.mkdir(parents=True, exist_ok=True)
    rows = ["PatientID,finding"]
    for number in range(first, first + count):
        data = file_of(header(f"{number:05d}", number), picture(number))
        (root / f"{number:05d}.dcm").write_bytes(data)
        rows.append(f"{number:05d},{('normal', 'pneumonia')[number % 2]}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    return root


class Site:
    """A hospital that imports.

    Args:
        home: its folder.
        secret: its secret; two hospitals with the same one would give the same version.
    """

    def __init__(self, home: Path, secret: bytes = SECRET) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home, self._secret = home, secret
        self.recipe = home.parent / f"{home.name}-recipe.json"
        self.recipe.write_text(RECIPE)
        self.free, self.jobs = 1 << 40, 1

    def take(self, source: Path | str, **asked: Any) -> dict[str, Any]:
        """Run one import."""
        sessions = open_store(self.home / "site.sqlite")
        try:
            importer = Importer(
                home=self.home,
                sessions=sessions,
                floor=5,
                random=lambda _: self._secret,
                jobs=self.jobs,
                free=lambda _: self.free,
            )
            beside = None if asked.get("seg") else Path(source) / "labels.csv"
            labels = asked.pop("labels", None) or beside
            words = {"name": "chest", "labels": labels, "recipe": self.recipe}
            return importer.run(request_of(source, **(words | asked)))
        finally:
            close_store(sessions)

    @property
    def dataset(self) -> Path:
        """The folder of the dataset."""
        return self.home / "datasets" / "chest"


def all_bytes(root: Path) -> Iterable[tuple[Path, bytes]]:
    """Every file below a folder."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path, path.read_bytes()
