"""Which legal documents of a study end soon, and who can renew them.

An expired document takes its hospital out of the next round; an expired charter ends all rounds.
Renewing is always an amendment: the researcher proposes the new charter, institutions sign it.

Source: design/compliance.md §6.2; rule `legal.expired`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from compliance.records.charter import CharterBody
from compliance.records.types import seconds_of
from compliance.signing.keys import VerifierKey

Document = Literal["charter", "ethics", "agreement", "permit"]
WITHIN_DAYS = 60


@dataclass(frozen=True)
class Renewal:
    """A document that ends soon or has ended.

    Args:
        site: whose document; empty for the charter itself, which is everybody's.
        document: what ends.
        ref: its short name, as the charter has it.
        expires: the moment from which it permits nothing more.
        days_left: whole days; 0 on its last day, below 0 when it has ended.
        renew: names of the keys that can: the researcher, who proposes the amendment, and the
            institution that brings the new document; of the charter, every institution.
    """

    site: str
    document: Document
    ref: str
    expires: str
    days_left: int
    renew: tuple[str, ...]


def renewals(charter: CharterBody, now: str, within_days: int = WITHIN_DAYS) -> list[Renewal]:
    """Every document that ends within so many days or has ended, the most urgent first.

    Args:
        charter: the charter in force.
        now: UTC second, as records carry it.
        within_days: how far to look ahead.
    """
    found = []
    for site, document, ref, expires in _ending(charter):
        left = (seconds_of(expires) - seconds_of(now)).days
        if left <= within_days:
            renew = _who(charter, site)
            found.append(Renewal(site, document, ref, expires, left, renew))
    return sorted(found, key=lambda row: (row.expires, row.site, row.document))


def _who(charter: CharterBody, site: str) -> tuple[str, ...]:
    sites = [site] if site else charter.site_names()
    researcher = VerifierKey.parse(charter.researcher).name
    return (researcher, *(f"{name}/institution" for name in sites))


def _ending(charter: CharterBody) -> Iterator[tuple[str, Document, str, str]]:
    yield "", "charter", charter.title, charter.expires
    for row in charter.legal.sites:
        if row.ethics.expires:
            yield row.site, "ethics", row.ethics.ref, row.ethics.expires
        if row.dua.expires:
            yield row.site, "agreement", row.dua.ref, row.dua.expires
        if row.permit:
            yield row.site, "permit", row.permit.ref, row.permit.expires
