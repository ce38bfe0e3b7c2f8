"""The acts about the record itself: a review with a sealed remark, and the end of retention."""

from __future__ import annotations

from typing import Any

from hub.services.accounts import Person
from hub.services.intents import Act
from hub.services.ledger import LedgerService
from hub.services.retention import DAYS, DESTROY, PREPARE, RetentionService
from hub.services.sealed import SealedService

Body = dict[str, Any]


def record_acts(
    ledger: LedgerService, sealed: SealedService, retention: RetentionService
) -> dict[str, Act]:
    """Every act about the record by its name."""

    def review(person: Person, subject: str, body: Body) -> Body:
        end = body.get("to")
        said = {
            "from": body.get("from", 0),
            "to": ledger.state_of(subject).size if end is None else end,
            "result": body.get("result"),
            "on_behalf": person.who,
        }
        receipt, commitment = sealed.remarked(subject, "review.noted", said, body.get("remark"))
        return {"index": receipt.index, "sealed": commitment}

    return {
        "review.note": Act(
            ("auditor",),
            "Put your review of the log {object} on record.",
            (
                "Everybody who reads the log sees which entries were reviewed, and the result.",
                "A remark is sealed: the log holds a hash of it, and it can be erased.",
                "Auditors and the study's researcher can open it.",
                "An opened case keeps the records of the study until a review closes it.",
            ),
            step_up=False,
            typed=False,
            do=review,
        ),
        PREPARE: Act(
            ("admin",),
            "Ask for the destruction of all records of study {object}.",
            (
                f"Nothing is destroyed yet: another administrator confirms within {DAYS} days.",
                "Export what must be kept elsewhere before that.",
            ),
            step_up=True,
            typed=True,
            do=lambda person, study, _: retention.prepare(study, person),
        ),
        DESTROY: Act(
            ("admin",),
            "Destroy all records of study {object} at this hub, for ever.",
            (
                "Its log, charter, sealed details, models, cards and exports are deleted.",
                "After this yes nobody can bring them back from this hub.",
                "The consortium's log keeps that it was done; a tombstone keeps size and root.",
                "The hospitals destroy their own copies themselves.",
            ),
            step_up=True,
            typed=True,
            do=lambda person, study, _: retention.destroy(study, person),
        ),
    }
