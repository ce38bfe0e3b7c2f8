"""What a hospital says about itself: joined, left, lowered its limit, reduced its data.

Source: design/ledger.md §2.2.
"""

from __future__ import annotations

from compliance.records.reasons import Leaving, Reduced
from compliance.records.types import Dec, Record, Sha, Slug, Word


class SiteJoined(Record):
    """A hospital of the charter signs later, or comes back."""

    charter: Sha


class SiteWithdrawn(Record):
    """A hospital leaves, at once and alone."""

    reason: Word[Leaving]


class SiteLimited(Record):
    """A hospital lowers its own privacy cap."""

    dataset: Slug
    epsilon: Dec


class DatasetReduced(Record):
    """A dataset became smaller; carries no count, so that it tells of no one person's wish."""

    dataset: Slug
    from_version: Sha
    to_version: Sha
    reason: Word[Reduced]


class DatasetWithdrawn(Record):
    """No later update may name this dataset."""

    dataset: Slug
    reason: Word[Leaving]
