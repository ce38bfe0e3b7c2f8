"""Masks as a DICOM SEG: one binary segment a class, on the pixels of the images it is about.

Source: DICOM PS3.3 C.8.20 (segmentation), PS3.16 CID 7150, CID 7151.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import TypeAlias

import numpy as np
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import Segmentation, SegmentDescription
from highdicom.sr import CodedConcept
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from compliance.errors import Malformed
from site_node.imaging.keys import SiteKeys
from site_node.imaging.recipe import Segment
from site_node.imaging.results.marks import NOT_CLINICAL, SCHEME, Mark, finish, uid_of, unwarned

Mask: TypeAlias = NDArray[np.uint8]

ABNORMAL = CodedConcept("49755003", "SCT", "Morphologically Abnormal Structure")
FAMILY = CodedConcept("123109", "DCM", "Artificial Intelligence")
MOST_LABEL = 64
MASK = "mask"


@dataclass(frozen=True)
class Drawn:
    """A mask on the pixels of its images.

    Args:
        sources: headers of one image each, or of one image with several frames.
        mask: class of every pixel, 0 is none; uint8 (frames, rows, columns), a frame an image.
    """

    sources: Sequence[Dataset]
    mask: Mask


@unwarned()
def write_mask(drawn: Drawn, segments: Sequence[Segment], mark: Mark, keys: SiteKeys) -> bytes:
    """The file of one segmentation.

    Args:
        drawn: the mask.
        segments: class names and codes, as the import recipe names them; class 1 is the first.
        mark: the model.
        keys: for the numbers of segmentation and series.

    Raises:
        Malformed: the mask has another shape than the images, or a class that has no segment.
    """
    _check(drawn, segments)
    first = drawn.sources[0]
    instances = [str(source.SOPInstanceUID) for source in drawn.sources]
    made = Segmentation(
        source_images=list(drawn.sources),
        pixel_array=np.stack(
            [drawn.mask == number for number in range(1, len(segments) + 1)], axis=-1
        ).astype(np.uint8),
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(number, segment, mark) for number, segment in enumerate(segments, start=1)
        ],
        series_instance_uid=uid_of(keys, "mask series", mark.name, [first.StudyInstanceUID]),
        sop_instance_uid=uid_of(keys, MASK, mark.name, instances),
        content_label="RESEARCH",
        content_description=NOT_CLINICAL[:MOST_LABEL],
        content_creator_name=None,
        omit_empty_frames=bool(drawn.mask.any()),
        **mark.words() | {"series_number": 9902},
    )
    _name_dimensions(made, uid_of(keys, "mask dimensions", mark.name, instances))
    if "PatientOrientation" not in made and "ImageOrientationPatient" not in first:
        made.PatientOrientation = None
    out = BytesIO()
    finish(made, mark).save_as(out, enforce_file_format=True)
    return out.getvalue()


def _check(drawn: Drawn, segments: Sequence[Segment]) -> None:
    first, frames = drawn.sources[0], len(drawn.sources)
    if frames == 1:
        frames = int(first.get("NumberOfFrames") or 1)
    if drawn.mask.shape != (frames, first.Rows, first.Columns):
        raise Malformed("mask", f"its shape {drawn.mask.shape} is not that of its images")
    if int(drawn.mask.max(initial=0)) > len(segments):
        raise Malformed("mask", f"it has more classes than the {len(segments)} segments")


def _name_dimensions(made: Dataset, uid: str) -> None:
    """A number by the site's key in the place of a random one: the same mask, the same file."""
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _described(number: int, segment: Segment, mark: Mark) -> SegmentDescription:
    scheme, _, value = (segment.code or f"{SCHEME}:segment-{number}").partition(":")
    return SegmentDescription(
        segment_number=number,
        segment_label=(segment.label or segment.name)[:MOST_LABEL],
        segmented_property_category=ABNORMAL,
        segmented_property_type=CodedConcept(value, scheme, segment.name[:MOST_LABEL]),
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=mark.recipe[:MOST_LABEL], family=FAMILY, version=mark.digits
        ),
        tracking_id=None,
    )
