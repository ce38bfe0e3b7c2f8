"""The closed list of statements: which type carries which body, and in which log it may stand."""

from __future__ import annotations

from compliance.records.charter import CharterBody
from compliance.records.consortium import DatasetRegistered, StudyRefusal
from compliance.records.decisions import (
    CharterAmended,
    ContributionMeasured,
    DecisionDenied,
    ErasureDone,
    ExportCreated,
    ReviewNoted,
    StudyClosed,
    StudyResumed,
    StudyStopped,
)
from compliance.records.keys import KeyRotated
from compliance.records.releases import (
    ModelRecalled,
    ModelReleased,
    ReleaseApproved,
    ReleaseDenied,
)
from compliance.records.rounds import (
    MetricReported,
    RoundAborted,
    RoundClosed,
    RoundOpened,
    UpdateSubmitted,
)
from compliance.records.sites import (
    DatasetReduced,
    DatasetWithdrawn,
    SiteJoined,
    SiteLimited,
    SiteWithdrawn,
)
from compliance.records.types import Record

CHARTER = "charter"

STUDY: dict[str, type[Record]] = {
    "round.opened": RoundOpened,
    "update.submitted": UpdateSubmitted,
    "metric.reported": MetricReported,
    "round.closed": RoundClosed,
    "round.aborted": RoundAborted,
    "charter.amended": CharterAmended,
    "site.joined": SiteJoined,
    "site.withdrawn": SiteWithdrawn,
    "site.limited": SiteLimited,
    "dataset.reduced": DatasetReduced,
    "dataset.withdrawn": DatasetWithdrawn,
    "study.stopped": StudyStopped,
    "study.resumed": StudyResumed,
    "study.closed": StudyClosed,
    "release.approved": ReleaseApproved,
    "release.refused": ReleaseDenied,
    "model.released": ModelReleased,
    "model.recalled": ModelRecalled,
    "contribution.measured": ContributionMeasured,
    "key.rotated": KeyRotated,
    "decision.denied": DecisionDenied,
    "export.created": ExportCreated,
    "review.noted": ReviewNoted,
    "erasure.done": ErasureDone,
}
"""What may stand in a study log after its charter."""

CONSORTIUM: dict[str, type[Record]] = {
    "dataset.registered": DatasetRegistered,
    "study.refused": StudyRefusal,
}
"""What this release says in the name of the consortium log."""

KINDS: dict[str, type[Record]] = {CHARTER: CharterBody, **STUDY, **CONSORTIUM}

ACTIONS = frozenset(KINDS)
