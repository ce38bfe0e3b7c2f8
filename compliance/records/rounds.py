"""Statements about rounds: opened, what each hospital sent and measured, closed or aborted.

Source: design/ledger.md §2.1; `bad_count` from design/federation.md §16.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compliance.records.reasons import Aborted, Excluded, Missing
from compliance.records.types import (
    MAP_KEYS,
    MAX_METRICS,
    Count,
    Dec,
    Record,
    Sha,
    Site,
    Slug,
    Time,
    Who,
    Word,
)


class RoundOpened(Record):
    """The hub opens a round: which sites, which model, which bundle, until when."""

    round: Count
    sites: Annotated[list[Site], Field(min_length=1, max_length=MAP_KEYS)]
    model_sha256: Sha
    bundle_sha256: Sha
    deadline: Time
    on_behalf: Who | None


class PrivacyCost(Record):
    """What one update cost; epsilon is the increase of the study's composed epsilon."""

    epsilon: Dec
    delta: Dec
    sigma: Dec
    clip: Dec
    sample_rate: Dec
    steps: Count


class UpdateSubmitted(Record):
    """A site sent an update; `update_sha256` is the hash of the bytes on the wire."""

    round: Count
    base_model_sha256: Sha
    dataset: Slug
    dataset_version: Sha
    update_sha256: Sha
    bytes: Count
    encoding: Literal["packed-f32", "packed-f16", "masked-u32"]
    masked: bool
    n: Count
    dp: PrivacyCost | None


class MetricValue(Record):
    """One measured value with its 95 % interval and the counts behind it."""

    value: Dec | None
    low: Dec | None
    high: Dec | None
    n: Count | None
    positives: Count | None


class MetricReported(Record):
    """A site measured a model on its own cases."""

    round: Count | None
    phase: Literal["before_training", "after_training", "release_check", "post_market"]
    model_sha256: Sha
    dataset: Slug
    dataset_version: Sha
    split: Literal["validation", "test"]
    values: Annotated[dict[Slug, MetricValue], Field(min_length=1, max_length=MAX_METRICS)]


class RoundClosed(Record):
    """The hub made a new model: whose updates count, how much, who was left out and why."""

    round: Count
    used: Annotated[dict[Site, Sha], Field(max_length=MAP_KEYS)]
    weights: Annotated[dict[Site, Dec], Field(max_length=MAP_KEYS)]
    excluded: Annotated[dict[Site, Word[Excluded]], Field(max_length=MAP_KEYS)]
    missing: Annotated[dict[Site, Word[Missing]], Field(max_length=MAP_KEYS)]
    aggregator: Slug
    model_sha256: Sha
    bytes: Count


class RoundAborted(Record):
    """A round ended without a model; its number is never used again."""

    round: Count
    reason: Word[Aborted]
    on_behalf: Who | None
