"""The identifying values of one object, on their way to become keyed; never stored."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom.dataset import Dataset

from compliance.records.reasons import Quarantine
from site_node.imaging.outcomes import Quarantined

UID_FORM = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*))*", re.ASCII)
MOST_UID = 64
MOST_VALUE = 256


@dataclass(frozen=True)
class Identity:
    """Who and what an object is, as its header says it."""

    patient: str
    issuer: str
    study: str
    series: str
    instance: str
    accession: str


def identity_of(header: Dataset) -> Identity:
    """Take the identifying values.

    Raises:
        Quarantined: the patient or a unique identifier is missing or no UID.
    """
    found = Identity(
        patient=text_of(header, "PatientID"),
        issuer=text_of(header, "IssuerOfPatientID"),
        study=text_of(header, "StudyInstanceUID"),
        series=text_of(header, "SeriesInstanceUID"),
        instance=text_of(header, "SOPInstanceUID"),
        accession=text_of(header, "AccessionNumber"),
    )
    uids = (found.study, found.series, found.instance)
    if not found.patient or not all(uids):
        raise Quarantined(Quarantine.MISSING_IDENTITY)
    if not all(len(uid) <= MOST_UID and UID_FORM.fullmatch(uid) for uid in uids):
        raise Quarantined(Quarantine.BAD_UID)
    return found


def text_of(header: Dataset, name: str) -> str:
    """A value as text without padding; empty when it is missing.

    Raises:
        Quarantined: it is longer than any such value.
    """
    value = str(header.get(name) or "").strip().strip("\0")
    if len(value) > MOST_VALUE:
        raise Quarantined(Quarantine.MALFORMED)
    return value
