"""The closed list of statements: which type carries which body, and in which log it may stand."""

from __future__ import annotations

from compliance.records.agreement import Agreement, AgreementAmended
from compliance.records.charter import CharterBody
from compliance.records.coalitions import CoalitionMeasured
from compliance.records.consortium import DatasetRegistered, RegistrationWithdrawn, StudyRefusal
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
from compliance.records.masking import MaskKey, RoundUnmasking
from compliance.records.members import (
    MemberAdmitted,
    MemberLeft,
    MemberSuspended,
    ResearcherAdmitted,
    ResearcherLeft,
)
from compliance.records.registry import (
    OfferMade,
    OfferWithdrawn,
    RecipeRegistered,
    RecipeRetired,
    RequestAnswered,
    RequestMade,
)
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
from compliance.records.studies import StudyEnded, StudyOpened, StudyProposed
from compliance.records.types import Record

CHARTER = "charter"
AGREEMENT = "agreement"

ENTRY0: dict[str, type[Record]] = {CHARTER: CharterBody, AGREEMENT: Agreement}
"""What a log begins with, and nothing else does."""

STUDY: dict[str, type[Record]] = {
    "round.opened": RoundOpened,
    "update.submitted": UpdateSubmitted,
    "metric.reported": MetricReported,
    "mask.key": MaskKey,
    "round.unmasking": RoundUnmasking,
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
    "coalition.measured": CoalitionMeasured,
    "contribution.measured": ContributionMeasured,
    "key.rotated": KeyRotated,
    "decision.denied": DecisionDenied,
    "export.created": ExportCreated,
    "review.noted": ReviewNoted,
    "erasure.done": ErasureDone,
}
"""What may stand in a study log after its charter."""

CONSORTIUM: dict[str, type[Record]] = {
    "agreement.amended": AgreementAmended,
    "member.admitted": MemberAdmitted,
    "member.suspended": MemberSuspended,
    "member.left": MemberLeft,
    "researcher.admitted": ResearcherAdmitted,
    "researcher.left": ResearcherLeft,
    "key.rotated": KeyRotated,
    "recipe.registered": RecipeRegistered,
    "recipe.retired": RecipeRetired,
    "dataset.registered": DatasetRegistered,
    "dataset.withdrawn": RegistrationWithdrawn,
    "offer.made": OfferMade,
    "offer.withdrawn": OfferWithdrawn,
    "request.made": RequestMade,
    "request.answered": RequestAnswered,
    "study.proposed": StudyProposed,
    "study.refused": StudyRefusal,
    "study.opened": StudyOpened,
    "study.closed": StudyEnded,
    "decision.denied": DecisionDenied,
    "export.created": ExportCreated,
    "review.noted": ReviewNoted,
    "erasure.done": ErasureDone,
}
"""What may stand in the consortium log after its agreement.

`dataset.withdrawn` and `study.closed` carry other bodies here than in a study log.
"""

KINDS: dict[str, type[Record]] = {**ENTRY0, **CONSORTIUM, **STUDY}
"""Every type once; where both logs have one of the same name, this is the study log's."""

ACTIONS = frozenset(KINDS)
