"""The consortium's agreement: entry 0 of its log, signed with the founders' institution keys.

Every field is required. Whether keys and numbers fit together is a matter of the rules
(`compliance.rules.consortium.agreement`), not of the form.

Source: design/ledger.md §6.1.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compliance.records.types import (
    MAP_KEYS,
    ConsortiumOrigin,
    Count,
    Country,
    Record,
    Sha,
    Site,
    Slug,
    Text80,
    Text120,
    Time,
    VKeyText,
)


class AgreementMember(Record):
    """A hospital of the consortium and its three keys."""

    name: Site
    institution: VKeyText
    node: VKeyText
    witness: VKeyText
    country: Country


class AgreementQuorum(Record):
    """How many of which members must have cosigned the consortium log."""

    k: Count
    witnesses: Annotated[list[Site], Field(max_length=MAP_KEYS)]


class Floors(Record):
    """No charter of this consortium goes below these numbers."""

    min_examples: Count
    min_cell: Count
    min_sites: Count


class AgreementDocument(Record):
    """A paper between the hospitals, by hash; `joint_controllers` is the arrangement of Art. 26."""

    kind: Literal["contract", "processing", "joint_controllers", "other"]
    ref: Text80
    sha256: Sha


class Agreement(Record):
    """The complete text that makes hospitals a consortium."""

    title: Text120
    hub: VKeyText
    origin: ConsortiumOrigin
    log_key: VKeyText
    members: Annotated[list[AgreementMember], Field(min_length=1, max_length=MAP_KEYS)]
    signatures_required: Count
    admit_k: Count
    amend_k: Count
    quorum: AgreementQuorum
    floors: Floors
    profiles: Annotated[list[Slug], Field(max_length=MAP_KEYS)]
    documents: Annotated[list[AgreementDocument], Field(max_length=MAP_KEYS)]
    retention_until: Time

    def site_names(self) -> list[str]:
        """The hospitals, in the order of the agreement."""
        return [member.name for member in self.members]


class AgreementAmended(Record):
    """A new complete agreement takes the place of the one in force."""

    agreement: Agreement
    previous: Sha
