"""The legal block of a charter: who answers for what, and until when.

Source: design/compliance.md §6.1.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from compliance.records.types import (
    Country,
    Record,
    Ref,
    Sha,
    Site,
    Text80,
    Text120,
    Time,
    Word,
)


class LegalPurpose(StrEnum):
    """What the processing is for."""

    SCIENTIFIC_RESEARCH = "scientific_research"
    PRODUCT_DEVELOPMENT = "product_development"
    ALGORITHM_TRAINING = "algorithm_training"
    PUBLIC_HEALTH = "public_health"
    EDUCATION = "education"
    QUALITY_IMPROVEMENT = "quality_improvement"


class Transfer(Record):
    """A transfer to another country and what permits it."""

    country: Country
    mechanism: Literal["adequacy", "scc", "bcr", "derogation", "other_law"]


class Ethics(Record):
    """The ethics committee's word; a waiver is a document too."""

    status: Literal["approved", "waived", "not_required"]
    ref: Text80
    sha256: Sha
    expires: Time | None


class Agreement(Record):
    """The data use agreement."""

    ref: Text80
    sha256: Sha
    expires: Time | None


class ImpactAssessment(Record):
    """Whether a data protection impact assessment is required, and which it is."""

    required: bool
    ref: Text80 | None
    sha256: Sha | None


class Permit(Record):
    """An EHDS data permit or its national equivalent."""

    ref: Text80
    sha256: Sha
    expires: Time


class LegalSite(Record):
    """One hospital's row of the legal block."""

    site: Site
    controller: Text120
    lawful_basis: Literal["art6_1_a", "art6_1_c", "art6_1_e", "art6_1_f", "other_law"]
    special_category_basis: Literal["art9_2_a", "art9_2_g", "art9_2_i", "art9_2_j", "other_law"]
    ethics: Ethics
    dua: Agreement
    dpia: ImpactAssessment
    permit: Permit | None
    objections_checked: Time | None
    us_basis: Literal["authorization", "waiver", "limited_data_set", "safe_harbor", "expert"] | None

    def first_expiry(self) -> str | None:
        """The moment from which this row no longer permits anything; None if it never ends."""
        dates = [self.ethics.expires, self.dua.expires]
        dates.append(self.permit.expires if self.permit else None)
        return min((date for date in dates if date is not None), default=None)


class Legal(Record):
    """The legal block of one study."""

    joint_controllers: bool
    processor: Text120 | None
    processing_agreement: Ref | None
    purposes: Annotated[list[Word[LegalPurpose]], Field(min_length=1, max_length=6)]
    transfers: Annotated[list[Transfer], Field(max_length=64)]
    sites: Annotated[list[LegalSite], Field(min_length=1, max_length=64)]

    def of(self, site: str) -> LegalSite | None:
        """The row of one site."""
        return next((row for row in self.sites if row.site == site), None)
