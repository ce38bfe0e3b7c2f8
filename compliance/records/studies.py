"""The studies of a consortium: proposed, listed, closed. The hub cannot run a hidden one.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from compliance.records.types import Origin, Record, Sha, Who


class StudyProposed(Record):
    """A charter lies before the hospitals.

    The researcher signs, or, for a dashboard user without a key, the hub with `on_behalf`; every
    report tells the two apart.
    """

    charter: Sha
    on_behalf: Who | None


class StudyOpened(Record):
    """A study begins: its charter, its log and the leaf hash of the log's entry 0."""

    charter: Sha
    origin: Origin
    entry0: Sha
    on_behalf: Who | None


class StudyEnded(Record):
    """A listed study is closed (`study.closed` of the consortium log)."""

    charter: Sha
    origin: Origin
    entry0: Sha
    on_behalf: Who | None
