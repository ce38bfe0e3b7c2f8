"""Lesions of drawn bodies as DICOM Segmentation: `python -m site_node.imaging.synthetic_masks`.

Writes folders of CT series with their masks, for tests and for a demo of segmentation.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import CTImageStorage, SegmentationStorage

from site_node.imaging.phantoms import draw_body
from site_node.imaging.synthetic import made_up_uid
from site_node.imaging.synthetic_series import (
    AXIAL,
    Series,
    Slice,
    common,
    ct_files,
    item,
    make_series,
    measures,
    save,
)

LESION = ("52988006", "SCT", "Lesion")
ABNORMAL = ("49755003", "SCT", "Morphologically Abnormal Structure")
SEGMENTED = ("113076", "DCM", "Segmentation")
SOURCE = ("121322", "DCM", "Source image for image processing operation")


def seg_file(
    series: Series,
    lesions: NDArray[np.uint8],
    random: np.random.Generator,
    *,
    fractional: bool = False,
) -> bytes:
    """The segmentation of a series: one frame per slice with a lesion, at least one.

    Args:
        series: what it was drawn on.
        lesions: (slices, rows, columns), 1 inside.
        random: of its UID.
        fractional: 8 bits, 255 inside, instead of single bits.
    """
    drawn = [number for number, one in enumerate(lesions) if one.any()] or [0]
    made = common(series, "SEG", made_up_uid(random), SegmentationStorage)
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = made_up_uid(random), 2, 1
    made.ImageType, made.LossyImageCompression = ["DERIVED", "PRIMARY"], "00"
    made.ContentLabel, made.ContentDescription = "LESIONS", "lesions"
    made.ContentCreatorName = ""
    made.Rows, made.Columns = lesions.shape[1:]
    made.NumberOfFrames = len(drawn)
    made.SegmentSequence = Items([_segment(1, LESION)])
    _add_dimensions(made, random)
    made.SharedFunctionalGroupsSequence = Items([_seg_shared(series)])
    made.PerFrameFunctionalGroupsSequence = Items(
        _seg_frame(series.slices[number], place) for place, number in enumerate(drawn, start=1)
    )
    made.ReferencedSeriesSequence = Items([_referenced(series)])
    _add_bits(made, lesions[drawn], fractional=fractional)
    return save(made)


def _segment(number: int, code: tuple[str, str, str]) -> Dataset:
    return item(
        SegmentNumber=number,
        SegmentLabel=code[2],
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=[_code(ABNORMAL)],
        SegmentedPropertyTypeCodeSequence=[_code(code)],
    )


def _seg_shared(series: Series) -> Dataset:
    return item(
        PixelMeasuresSequence=[measures(series)],
        PlaneOrientationSequence=[item(ImageOrientationPatient=list(AXIAL))],
        SegmentIdentificationSequence=[item(ReferencedSegmentNumber=1)],
    )


def _seg_frame(one: Slice, place: int) -> Dataset:
    source = item(
        ReferencedSOPClassUID=CTImageStorage,
        ReferencedSOPInstanceUID=one.instance,
        PurposeOfReferenceCodeSequence=[_code(SOURCE)],
        SpatialLocationsPreserved="YES",
    )
    derived = item(DerivationCodeSequence=[_code(SEGMENTED)], SourceImageSequence=[source])
    return item(
        DerivationImageSequence=[derived],
        PlanePositionSequence=[item(ImagePositionPatient=list(one.position))],
        FrameContentSequence=[item(DimensionIndexValues=[1, place])],
    )


def _add_dimensions(made: Dataset, random: np.random.Generator) -> None:
    organization = made_up_uid(random)
    made.DimensionOrganizationSequence = Items([item(DimensionOrganizationUID=organization)])
    pairs = ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
    made.DimensionIndexSequence = Items(
        item(
            DimensionOrganizationUID=organization,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=group,
        )
        for pointer, group in pairs
    )


def _add_bits(made: Dataset, drawn: NDArray[np.uint8], *, fractional: bool) -> None:
    if fractional:
        made.SegmentationType, made.SegmentationFractionalType = "FRACTIONAL", "PROBABILITY"
        made.MaximumFractionalValue = 255
        made.BitsAllocated, made.BitsStored, made.HighBit = 8, 8, 7
        packed = (drawn * 255).tobytes()
    else:
        made.SegmentationType = "BINARY"
        made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
        packed = np.packbits(drawn.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\0" * (len(packed) % 2)
    made["PixelData"].VR = "OB"


def _referenced(series: Series) -> Dataset:
    instances = [
        item(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=one.instance)
        for one in series.slices
    ]
    return item(SeriesInstanceUID=series.series, ReferencedInstanceSequence=instances)


def _code(code: tuple[str, str, str]) -> Dataset:
    return item(CodeValue=code[0], CodingSchemeDesignator=code[1], CodeMeaning=code[2])


def make(out: Path, *, patients: int, seed: int) -> None:
    """Write a folder of series with their masks; the same seed writes the same bytes."""
    random = np.random.default_rng(seed)
    for number in range(1, patients + 1):
        body = draw_body(random, lesions=int(random.integers(0, 3)))
        series = make_series(body, f"{number:07d}", random)
        files = [*ct_files(series, random), seg_file(series, body.lesions, random)]
        _write(out / f"{number:07d}", files)


def _write(folder: Path, files: Sequence[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(files):
        (folder / f"{number:04d}.dcm").write_bytes(data)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m site_node.imaging.synthetic_masks")
    parser.add_argument("--out", type=Path, required=True, help="folder to make")
    parser.add_argument("--patients", type=int, default=20, help="how many series")
    parser.add_argument("--seed", type=int, default=7, help="of everything made up")
    asked = parser.parse_args()
    make(asked.out, patients=asked.patients, seed=asked.seed)


if __name__ == "__main__":
    main()
