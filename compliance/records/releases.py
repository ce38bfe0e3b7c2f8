"""Statements about models that leave a study: approved, refused, released, recalled.

Source: design/ledger.md §2.2.
"""

from __future__ import annotations

from compliance.records.charter import Output
from compliance.records.reasons import Recalled, ReleaseRefused
from compliance.records.types import Record, Sha, Who, Word


class ReleaseApproved(Record):
    """A hospital agrees that this model leaves; `checks_sha256` is its own check report."""

    model_sha256: Sha
    form: Output
    checks_sha256: Sha


class ReleaseDenied(Record):
    """A hospital does not let this model out (`release.refused`)."""

    model_sha256: Sha
    reason: Word[ReleaseRefused]


class ModelReleased(Record):
    """The model left, with its card."""

    model_sha256: Sha
    form: Output
    card_sha256: Sha
    on_behalf: Who | None


class ModelRecalled(Record):
    """A released model is called back; stays visible for ever."""

    model_sha256: Sha
    reason: Word[Recalled]
    replaced_by: Sha | None
