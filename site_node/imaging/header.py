"""The header of a file, read once: every value stays bytes until somebody asks for it.

De-identification looks at all of them; the steps to the image look at a closed list, through a view
of their own, because a reader that turns bytes into a value leaves the value behind.
"""

from __future__ import annotations

import functools
from io import BytesIO
from typing import Any

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import (
    DataElement,
    RawDataElement,
    convert_raw_data_element,
    empty_value_for_VR,
)
from pydicom.dataset import Dataset
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag

from compliance.records.reasons import Quarantine
from site_node.imaging.memo import Memo, context_of, key_of, weight_of
from site_node.imaging.outcomes import Quarantined
from site_node.imaging.scan import Outline

CHARSET = 0x00080005

LOOKED_AT = frozenset(
    tag_for_keyword(name)
    for name in (
        "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID",
        "SeriesInstanceUID", "PatientID", "IssuerOfPatientID", "AccessionNumber", "Modality",
        "BurnedInAnnotation", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored",
        "HighBit", "PixelRepresentation", "NumberOfFrames", "PhotometricInterpretation",
        "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelSpacing",
        "ImagerPixelSpacing", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence",
        "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction",
        "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor", "RedPaletteColorLookupTableData",
        "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
        "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
        "SegmentedBluePaletteColorLookupTableData",
    )
)  # fmt: skip
"""What identity, checks and pixels need of an original; it is forgotten with the file."""

PLACED_BY = frozenset(
    tag_for_keyword(name)
    for name in (
        "ImageType", "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID",
        "EchoNumbers", "DiffusionBValue", "TemporalPositionIdentifier", "AcquisitionNumber",
        "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
        "SegmentationType", "MaximumFractionalValue", "SegmentSequence",
        "ReferencedSeriesSequence",
    )
)  # fmt: skip
"""What volumes and masks need besides; looked at after the header was de-identified."""


def parse(outline: Outline) -> Dataset:
    """Read the data set up to the pixels.

    Raises:
        Quarantined: the reader cannot follow a structure that holds.
    """
    try:
        return _step_by_step(outline) if outline.open_ended else _from_outline(outline)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        raise Quarantined(Quarantine.MALFORMED) from None


def _step_by_step(outline: Outline) -> Dataset:
    """Let the library walk: only it knows what it makes of a sequence without a length."""
    raw = BytesIO(bytes(outline.data[outline.start : outline.header]))
    return read_dataset(raw, outline.implicit, outline.little, at_top_level=True)


def _from_outline(outline: Outline) -> Dataset:
    """The same data set from what the scan has found already."""
    start, implicit, little = outline.start, outline.implicit, outline.little
    data = bytes(outline.data[start : outline.header])
    found: dict[BaseTag, DataElement | RawDataElement] = {}
    for number, letters, at, length in outline.top:
        tag, kind = BaseTag(number), _letters(letters)
        begin = at - start
        value = data[begin : begin + length] if length else _nothing(kind)
        found[tag] = RawDataElement(tag, kind, length, value, at, implicit, little)
    header = Dataset(found)
    charset = found.get(BaseTag(CHARSET))
    header.set_original_encoding(implicit, little, _encodings(charset))
    return header


@functools.cache
def _letters(letters: bytes) -> str | None:
    return letters.decode("ascii") or None


@functools.cache
def _nothing(kind: str | None) -> bytes | None:
    empty = empty_value_for_VR(kind, raw=True)
    return empty if isinstance(empty, bytes) else None


def _encodings(charset: Any) -> Any:
    if charset is None:
        return default_encoding
    return convert_encodings(convert_raw_data_element(charset).value)


def view_of(
    header: Dataset, seen: Memo[DataElement], tags: frozenset[int | None] = LOOKED_AT
) -> Dataset:
    """The listed elements, each read as its type; the header itself stays as it is.

    Args:
        header: as parsed.
        seen: values that were read before; they are shared and never changed.
        tags: which elements.

    Raises:
        Quarantined: a value cannot be read as its type.
    """
    context = context_of(header)
    raw = [element for element in header.values() if element.tag in tags]
    keys = {element.tag: key_of(element, context) for element in raw}
    view = Dataset({element.tag: seen.get(keys[element.tag]) or element for element in raw})
    view.set_original_encoding(None, None, header.original_character_set)
    try:
        for element in view:
            if element.VR != "SQ":
                seen.keep(keys[element.tag], element, weight_of(keys[element.tag]))
            del element
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a reader may raise anything over hostile bytes
        raise Quarantined(Quarantine.MALFORMED) from None
    return view
