"""What a hospital says in the consortium log: a dataset registered, withdrawn; a study refused.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compliance.records.charter import Duo
from compliance.records.reasons import Leaving, StudyRefused
from compliance.records.types import Code, Count, Record, Sha, Slug, Word

BUCKETS = (100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
"""Lower edges of the sizes that may be told; an exact number never is."""

Bucket = Literal[
    "<floor", "≥floor", "≥100", "≥300", "≥1000", "≥3000", "≥10000", "≥30000",
    "≥100000", "≥300000", "≥1000000",
]  # fmt: skip
Words = Annotated[list[Slug], Field(max_length=64)]


class Deidentification(Record):
    """By which profile, version and rules a dataset was de-identified."""

    profile: Slug
    version: Count
    rules_sha256: Sha
    report_sha256: Sha


class DatasetRegistered(Record):
    """A hospital lays a dataset open to offers: closed words, buckets and hashes, no number."""

    dataset: Slug
    version: Sha
    modality: Words
    body_part: Words
    duo: Annotated[list[Duo], Field(max_length=23)]
    disease: Annotated[list[Code], Field(max_length=64)]
    examples: Bucket
    patients: Bucket
    description_sha256: Sha
    deid: Deidentification
    quality_sha256: Sha


class RegistrationWithdrawn(Record):
    """A registered dataset is offered no more (`dataset.withdrawn` of the consortium log).

    A version, or with null all of them.
    """

    dataset: Slug
    version: Sha | None
    reason: Word[Leaving]


class StudyRefusal(Record):
    """A hospital does not sign a charter (`study.refused`); the reason is on record."""

    charter: Sha
    reason: Word[StudyRefused]


def bucket_of(count: int, floor: int) -> Bucket:
    """Tell a size without telling the number.

    Args:
        count: examples or patients.
        floor: the site's smallest count that may be told at all.
    """
    if count < floor:
        return "<floor"
    edge = max((edge for edge in BUCKETS if edge <= count), default=None)
    names: dict[int | None, Bucket] = {
        None: "≥floor", 100: "≥100", 300: "≥300", 1_000: "≥1000", 3_000: "≥3000",
        10_000: "≥10000", 30_000: "≥30000", 100_000: "≥100000", 300_000: "≥300000",
        1_000_000: "≥1000000",
    }  # fmt: skip
    return names[edge]
