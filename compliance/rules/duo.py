"""Does the purpose lie within the terms of the data (GA4GH DUO)?

Deny is final, before abstain; abstain needs the data access decision of the hospital that owns the
data.

Source: design/ledger.md §6.2, after DUOS version 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from compliance.records.charter import CharterBody, Duo, Purpose
from compliance.rules.verdict import Denied

PERMISSIONS = ("NRES", "GRU", "HMB", "DS", "POA")
ENOUGH: dict[str, tuple[str, ...]] = {
    "GRU": ("GRU", "NRES"),
    "HMB": ("GRU", "NRES", "HMB"),
    "DS": ("GRU", "NRES", "HMB"),
    "POA": ("GRU", "NRES", "POA"),
    "MDS": PERMISSIONS,
}
"""Permissions of the data that a purpose fits without another question."""

OPEN = ("IRB", "GS", "MOR", "GSO", "PUB", "COL", "US", "PS", "IS", "TS", "RTN", "RS")


class Terms(Protocol):
    """The terms of a dataset, in a charter or in the consortium's list."""

    @property
    def duo(self) -> list[Duo]:
        """Terms of the Data Use Ontology."""

    @property
    def disease(self) -> list[str]:
        """Codes of the diseases that the terms name."""


class Answer(StrEnum):
    """What the terms say to a purpose."""

    APPROVE = "approve"
    DENY = "deny"
    ABSTAIN = "abstain"


def match(purpose: Purpose, dataset: Terms) -> tuple[Answer, str]:
    """Compare a purpose with the terms of one dataset; the reason is one sentence."""
    terms: set[str] = set(dataset.duo)
    reason = _deny(purpose, dataset, terms)
    if reason:
        return Answer.DENY, reason
    asked = [term for term in OPEN if term in terms]
    if asked:
        return Answer.ABSTAIN, f"the data have the term {', '.join(asked)}"
    if purpose.flags:
        return Answer.ABSTAIN, f"the purpose is flagged {', '.join(purpose.flags)}"
    return Answer.APPROVE, "the purpose is within the terms"


def check_duo(body: CharterBody) -> Iterator[Denied]:
    """Name every dataset whose terms are against the purpose, or ask for a decision not given."""
    for dataset in body.datasets:
        answer, reason = match(body.purpose, dataset)
        if answer is Answer.DENY or (answer is Answer.ABSTAIN and dataset.dac is None):
            missing = "" if answer is Answer.DENY else "; its data access decision is missing"
            named = f"{dataset.site} {dataset.id}"
            yield Denied("charter.duo", named, reason + missing, dataset.site)


def _deny(purpose: Purpose, dataset: Terms, terms: set[str]) -> str | None:
    permissions = [term for term in PERMISSIONS if term in terms]
    if len(permissions) != 1:
        return "the data have no permission term" if not permissions else "its terms contradict"
    if purpose.for_profit and terms & {"NPU", "NPUNCU"}:
        return "the data are not for profit"
    if purpose.commercial and terms & {"NCU", "NPUNCU"}:
        return "the data are not for commercial use"
    return _deny_use(purpose, dataset, permissions[0], terms)


def _deny_use(purpose: Purpose, dataset: Terms, permission: str, terms: set[str]) -> str | None:
    same_disease = bool(set(dataset.disease) & set(purpose.disease))
    if purpose.use == "POA" and "NPOA" in terms:
        return "the data are not for research on origins or ancestry"
    if purpose.use == "MDS" and "NMDS" in terms and not same_disease:
        return "the data are not for method development on other diseases"
    if permission in ENOUGH[purpose.use] or (
        purpose.use == "DS" and permission == "DS" and same_disease
    ):
        return None
    return f"purpose {purpose.use} is not within {permission}"
