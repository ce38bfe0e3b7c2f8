"""What a technician may ask the PACS for, and what the PACS names in its answer.

The keys are a closed list, so that no word of a command, a study or a message becomes an address.

Source: DICOM PS3.4 C.6.2 (study root), PS3.18 §10.6 (QIDO-RS).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from compliance.errors import NotReady
from site_node.imaging.identity import MOST_UID, UID_FORM

STUDY_KEYS = ("StudyDate", "PatientID", "AccessionNumber", "StudyInstanceUID", "StudyDescription")
SERIES_KEYS = ("Modality", "BodyPartExamined", "SeriesInstanceUID", "SeriesDescription")
KEYS = (*STUDY_KEYS, *SERIES_KEYS)
MOST_VALUE = 256
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Query:
    """Matching keys for studies and for the series in them."""

    study: dict[str, str]
    series: dict[str, str]


@dataclass(frozen=True)
class Instance:
    """One object as the PACS names it; `kind` is its class, empty when the PACS does not say."""

    study: str
    series: str
    instance: str
    kind: str

    @property
    def named_well(self) -> bool:
        """Whether all three are UIDs: anything else goes into no address and no request."""
        uids = (self.study, self.series, self.instance)
        return all(is_uid(uid) for uid in uids)


def is_uid(text: str) -> bool:
    """Whether a text is a unique identifier as the standard writes it."""
    return len(text) <= MOST_UID and UID_FORM.fullmatch(text) is not None


def query_of(words: Sequence[str]) -> Query:
    """Read the words of `--query`.

    Raises:
        NotReady: a word is no KEY=VALUE, a key is not on the list, or nothing is asked.
    """
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if key not in KEYS or not equals or not value.strip():
            raise NotReady(
                f"--query {key!r} cannot be asked for.",
                f"Use KEY=VALUE with one of {', '.join(KEYS)}.",
            )
        if len(value) > MOST_VALUE or CONTROL.search(value) or "\\" in value:
            raise NotReady(f"the value of --query {key} is not usable.", "Write one plain value.")
        found[key] = value.strip()
    if not found:
        raise NotReady(
            "nothing was asked of the PACS.",
            "Say what to fetch: --query Modality=CR --query StudyDate=20240101-20241231.",
        )
    study = {key: found[key] for key in STUDY_KEYS if key in found}
    if "Modality" in found:
        study["ModalitiesInStudy"] = found["Modality"]
    return Query(study, {key: found[key] for key in SERIES_KEYS if key in found})
