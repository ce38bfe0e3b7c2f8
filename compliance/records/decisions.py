"""Decisions about a study as a whole, denials, reviews, exports, erasure.

Source: design/ledger.md §2.2.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from compliance.records.charter import CharterBody
from compliance.records.reasons import Closed, Stopped
from compliance.records.types import Count, Key, Record, Root, Sha, Slug, Who, Word


class CharterAmended(Record):
    """A new complete charter takes the place of the one in force."""

    charter: CharterBody
    previous: Sha


class StudyStopped(Record):
    """Anybody with a key stops the study; an open round ends."""

    reason: Word[Stopped]
    on_behalf: Who | None


class StudyResumed(Record):
    """All active hospitals lift the stop together; `stopped` is the entry index of the stop."""

    stopped: Count


class StudyClosed(Record):
    """Nothing is trained any more."""

    reason: Word[Closed]
    on_behalf: Who | None


class ContributionMeasured(Record):
    """Hash of the inputs from which anybody recomputes the shares."""

    from_round: Count
    to_round: Count
    rule: Slug
    inputs_sha256: Sha


class DecisionDenied(Record):
    """Somebody refused something; `suppressed` counts refusals not logged since the last one."""

    action: Slug
    who: Key | None
    rule: Slug
    round: Count | None
    suppressed: Count


class ExportCreated(Record):
    """An evidence bundle was made over the first `size` entries."""

    size: Count
    root: Root
    manifest_sha256: Sha
    purpose: Literal["audit", "regulator", "ethics", "partner", "internal"]
    on_behalf: Who | None


class ReviewNoted(Record):
    """Somebody looked through a range of entries."""

    from_: Annotated[Count, Field(alias="from")]
    to: Count
    result: Literal["nothing_found", "opened_case", "closed_case"]
    on_behalf: Who | None


class ErasureDone(Record):
    """Something was erased; says that, not what it was."""

    what: Literal["sealed", "directory", "study_records"]
    commitment: Sha | None
