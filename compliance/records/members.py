"""Who belongs to the consortium: hospitals and researchers come and go.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from compliance.records.reasons import Departure
from compliance.records.types import Country, Key, Record, Site, VKeyText, Who, Word


class MemberAdmitted(Record):
    """A hospital comes in, or back, with its three keys; it signs this itself too."""

    site: Site
    institution: VKeyText
    node: VKeyText
    witness: VKeyText
    country: Country


class MemberSuspended(Record):
    """The others suspend a hospital until they admit it again."""

    site: Site
    reason: Word[Departure]


class MemberLeft(Record):
    """A hospital leaves, at once and alone."""

    site: Site
    reason: Word[Departure]


class ResearcherAdmitted(Record):
    """A researcher's key may speak in this consortium; the person is in the directory."""

    name: Key
    vkey: VKeyText
    on_behalf: Who | None


class ResearcherLeft(Record):
    """A researcher's key is silent from here on."""

    name: Key
    on_behalf: Who | None
