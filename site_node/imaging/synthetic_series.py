"""DICOM CT series of bodies that never lived; `synthetic_masks` writes their lesions beside them.

Faults of real scanners can be asked for: a tilted gantry, a missing slice, a slice twice, slices
of two sizes, a scout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRLittleEndian,
)

from site_node.imaging.phantoms import Body
from site_node.imaging.synthetic import made_up_uid

FAULTS = ("none", "tilt", "gap", "duplicate", "mixed", "scout")
INTERCEPT = -1024
ORIGIN = (-32.0, -32.0, 100.0)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILT = 0.2


@dataclass(frozen=True)
class Slice:
    """One slice to write: its stored values, place and name."""

    units: NDArray[np.int16]
    position: tuple[float, float, float]
    instance: str
    kind: str = "AXIAL"


@dataclass(frozen=True)
class Series:
    """A CT series: who, its names, its slices from inferior to superior."""

    patient: str
    study: str
    series: str
    space: str
    spacing: tuple[float, float, float]
    slices: tuple[Slice, ...]


def make_series(
    body: Body, patient: str, random: np.random.Generator, fault: str = "none"
) -> Series:
    """Cut a body into slices; a fault of `FAULTS` spoils the series.

    Args:
        body: what was drawn.
        patient: number of the patient.
        random: of every UID.
        fault: which fault, or `none`.
    """
    step = body.spacing[0]
    slices = [
        Slice(units, _position(number * step, fault), made_up_uid(random))
        for number, units in enumerate(body.units)
    ]
    middle = len(slices) // 2
    if fault == "gap":
        del slices[middle]
    elif fault == "duplicate":
        slices.append(replace(slices[middle], instance=made_up_uid(random)))
    elif fault == "mixed":
        slices[middle:] = [replace(one, units=one.units[:-2]) for one in slices[middle:]]
    elif fault == "scout":
        slices.append(replace(slices[0], instance=made_up_uid(random), kind="LOCALIZER"))
    study, one, space = (made_up_uid(random) for _ in range(3))
    return Series(patient, study, one, space, body.spacing, tuple(slices))


def _position(height: float, fault: str) -> tuple[float, float, float]:
    lean = height * TILT if fault == "tilt" else 0.0
    return (ORIGIN[0], ORIGIN[1] + lean, ORIGIN[2] + height)


def ct_files(series: Series, random: np.random.Generator) -> list[bytes]:
    """One file per slice; instance numbers are shuffled, as some archives hand them out."""
    numbers = random.permutation(len(series.slices)) + 1
    return [
        _bytes(_ct(series, one, int(number)), one.units)
        for one, number in zip(series.slices, numbers, strict=True)
    ]


def common(series: Series, modality: str, instance: str, sop_class: str) -> Dataset:
    """What every object of a study says."""
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, instance
    made.StudyInstanceUID, made.FrameOfReferenceUID = series.study, series.space
    made.StudyDate, made.StudyTime, made.StudyID = "20240315", "101500", "1"
    made.ContentDate, made.ContentTime = "20240315", "101500"
    made.AccessionNumber = made.ReferringPhysicianName = made.PositionReferenceIndicator = ""
    made.PatientName, made.PatientID = f"Alder^{series.patient}", series.patient
    made.PatientBirthDate, made.PatientSex, made.PatientAge = "19600101", "F", "064Y"
    made.Modality, made.Manufacturer, made.BodyPartExamined = modality, "Consilium", "CHEST"
    made.ManufacturerModelName, made.DeviceSerialNumber = "drawn", "1"
    made.SoftwareVersions = "1"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.PixelRepresentation = 0
    return made


def _ct(series: Series, one: Slice, number: int) -> Dataset:
    made = common(series, "CT", one.instance, CTImageStorage)
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = series.series, 1, number
    made.ImageType = ["ORIGINAL", "PRIMARY", one.kind]
    made.PatientPosition, made.KVP, made.AcquisitionNumber = "HFS", 120, 1
    made.ImagePositionPatient, made.ImageOrientationPatient = list(one.position), list(AXIAL)
    made.PixelSpacing, made.SliceThickness = list(series.spacing[1:]), series.spacing[0]
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = INTERCEPT, 1, "HU"
    return made


def _bytes(made: Dataset, units: NDArray[np.int16]) -> bytes:
    """A file of 16 bits; units are stored above the intercept."""
    made.Rows, made.Columns = units.shape[-2:]
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 16, 15
    made.PixelData = (units.astype(np.int32) - INTERCEPT).astype("<u2").tobytes()
    made["PixelData"].VR = "OW"
    return save(made)


def save(made: Dataset) -> bytes:
    """The bytes of a file."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = BytesIO()
    made.save_as(out, enforce_file_format=True)
    return out.getvalue()


def enhanced_file(series: Series, random: np.random.Generator) -> bytes:
    """The same series as one multi-frame object, frames shuffled, with the groups that we read."""
    order = random.permutation(len(series.slices))
    made = common(series, "CT", made_up_uid(random), EnhancedCTImageStorage)
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = series.series, 1, 1
    made.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    made.NumberOfFrames = len(order)
    shared = item(
        PixelMeasuresSequence=[measures(series)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
        PixelValueTransformationSequence=[
            item(RescaleIntercept=INTERCEPT, RescaleSlope=1, RescaleType="HU")
        ],
        CTImageFrameTypeSequence=[item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"])],
    )
    made.SharedFunctionalGroupsSequence = Items([shared])
    made.PerFrameFunctionalGroupsSequence = Items(
        item(
            PlanePositionSequence=[item(ImagePositionPatient=list(series.slices[one].position))],
            FrameContentSequence=[item(FrameAcquisitionNumber=1)],
        )
        for one in order
    )
    return _bytes(made, np.stack([series.slices[one].units for one in order]))


def measures(series: Series) -> Dataset:
    """Spacing of pixels and slices, as an item."""
    return item(
        PixelSpacing=list(series.spacing[1:]),
        SliceThickness=series.spacing[0],
        SpacingBetweenSlices=series.spacing[0],
    )


def item(**values: Any) -> Dataset:
    """An item of a sequence; lists of items become sequences."""
    made = Dataset()
    for name, value in values.items():
        setattr(made, name, Items(value) if name.endswith("Sequence") else value)
    return made
