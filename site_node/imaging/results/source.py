"""What a result must repeat of the image it is about: patient, study, instance, place.

The child reads these values and tells them through its pipe; the parent makes a header of its own
from them. They go into the result and nowhere else: not into a table, a log, the journal or a name.

Source: DICOM PS3.3 C.7.1.1 (patient), C.7.2.1 (study), C.12.1 (SOP common).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID

from site_node.imaging.file_meta import EXPLICIT
from site_node.imaging.header import parse, view_of
from site_node.imaging.identity import identity_of
from site_node.imaging.memo import Memo
from site_node.imaging.outcomes import hostile_bytes
from site_node.imaging.scan import scan

UTF8 = "ISO_IR 192"
WHO = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex",
    "StudyInstanceUID", "StudyDate", "StudyTime", "StudyID", "AccessionNumber",
    "ReferringPhysicianName", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Modality",
    "Laterality", "FrameOfReferenceUID",
)  # fmt: skip
"""Text that a result repeats."""

WHERE = (
    "Rows", "Columns", "NumberOfFrames", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "ImagerPixelSpacing", "SliceThickness", "SpacingBetweenSlices",
)  # fmt: skip
"""Numbers by which a mask lies on its image."""

NEEDED = ("PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
          "AccessionNumber", "ReferringPhysicianName")  # fmt: skip
"""Elements of type 2: empty where the image has none."""

TAGS = frozenset(tag_for_keyword(name) for name in (*WHO, *WHERE, "SpecificCharacterSet"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
_MOST = {"LO": 64, "SH": 16, "PN": 64, "CS": 16, "UI": 64}
_FORMS = {
    "DA": re.compile(r"\d{8}", re.ASCII),
    "TM": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?", re.ASCII),
    "CS": re.compile(r"[A-Z0-9 _]*", re.ASCII),
    "UI": re.compile(r"[0-9.]*", re.ASCII),
}
SEX = ("M", "F", "O")


def read_source(data: memoryview | bytes) -> dict[str, Any]:
    """The values of one file, as text and numbers; runs in a child process only.

    What has not the form of its type is left empty: a result must not carry on what is wrong.

    Raises:
        Quarantined: the file cannot be read, or says not who and what it is.
    """
    with hostile_bytes():
        header = view_of(parse(scan(data)), Memo[DataElement](0), TAGS)
        identity_of(header)
        told: dict[str, Any] = {name: _text(header, name) for name in WHO}
        told |= {name: _numbers(header.get(name)) for name in WHERE if header.get(name) is not None}
        return told


def _text(header: Dataset, name: str) -> str:
    kind, told = dictionary_VR(name), header.get(name)
    value = str((told[0] if isinstance(told, MultiValue) and told else told) or "")
    if kind == "PN":
        groups = [_CONTROL.sub("", part)[: _MOST[kind]] for part in value.split("=")[:3]]
        return "=".join(groups)
    text = _CONTROL.sub("", value).strip()[: _MOST.get(kind, 64)]
    form = _FORMS.get(kind)
    if (form and not (form.fullmatch(text) and _is_real(kind, text))) or (
        name == "PatientSex" and text not in SEX
    ):
        return ""
    return text


def _is_real(kind: str, text: str) -> bool:
    """Whether a date is in the calendar and a time on the clock."""
    try:
        if kind == "DA" and text:
            datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
        if kind == "TM" and text:
            datetime.strptime(text[:6].ljust(6, "0"), "%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _numbers(value: Any) -> list[float]:
    several = value if isinstance(value, MultiValue) else [value]
    return [float(number) for number in several]


def header_of(told: dict[str, Any]) -> Dataset:
    """A header with nothing but these values, as the writers of results need it."""
    made = Dataset()
    made.SpecificCharacterSet = UTF8
    for name in WHO:
        if told[name] or name in NEEDED:
            setattr(made, name, told[name])
    for name in ("Rows", "Columns", "NumberOfFrames"):
        if told.get(name):
            setattr(made, name, int(told[name][0]))
    for name in WHERE[3:]:
        if told.get(name):
            numbers = [_decimal(number) for number in told[name]]
            setattr(made, name, numbers if len(numbers) > 1 else numbers[0])
    made.file_meta = _meta(made)
    return made


def _decimal(number: float) -> str:
    """A number as DS: at most 16 characters."""
    text = repr(number)
    return text if len(text) <= 16 else f"{number:.9g}"  # noqa: PLR2004 - PS3.5 6.2, DS


def _meta(made: Dataset) -> Any:
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        made.SOPClassUID,
        made.SOPInstanceUID,
    )
    meta.TransferSyntaxUID = UID(EXPLICIT)
    return meta
