"""Stop, resume, close; denials, exports, reviews, contributions, erasure.

What takes a `LogState` is said in the consortium log too.

Source: design/ledger.md §2.2 and §5.
"""

from __future__ import annotations

import base64
from collections import deque
from datetime import timedelta

from compliance.records.decisions import (
    ContributionMeasured,
    DecisionDenied,
    ExportCreated,
    ReviewNoted,
    StudyClosed,
    StudyResumed,
)
from compliance.records.kinds import ACTIONS
from compliance.rules.coalitions import check_account
from compliance.rules.said import Denial, LogState, Said
from compliance.rules.state import DENIALS_PER_HOUR, StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.rules.words import SENTENCES

HOUR = timedelta(hours=1)


def may_stop(state: StudyState, said: Said) -> Verdict:
    """Anybody with a key of the study can stop it, at any time."""
    return ALLOWED


def stop(state: StudyState, said: Said) -> None:
    """Stop the study; an open round ends."""
    state.stopped, state.open_round = said.index, None


def may_resume(state: StudyState, said: Said) -> Verdict:
    """Say whether all active hospitals lift exactly this stop."""
    body = said.as_(StudyResumed)
    if body.stopped != state.stopped:
        return Denied("resume.signatures", f"stop {body.stopped}", f"stop {state.stopped}")
    needed = {f"{site}/institution" for site in state.active_sites()}
    if said.signers != needed:
        return Denied("resume.signatures", sorted(said.signers), sorted(needed))
    return ALLOWED


def resume(state: StudyState, said: Said) -> None:
    """Lift the stop."""
    state.stopped = None


def may_close_study(state: StudyState, said: Said) -> Verdict:
    """Hub and researcher can close a study in which no round is open (a matter of the phase)."""
    return ALLOWED


def close_study(state: StudyState, said: Said) -> None:
    """Close for good."""
    state.closed = said.as_(StudyClosed).reason.value


def may_measure(state: StudyState, said: Said) -> Verdict:
    """Say whether the rounds are closed and the rule is the agreed one."""
    body = said.as_(ContributionMeasured)
    rounds = {body.from_round, body.to_round}
    if body.from_round > body.to_round or not rounds <= state.closed_numbers:
        return Denied("contribution.range", f"rounds {body.from_round} to {body.to_round}")
    if body.rule != state.charter.contribution.rule:
        return Denied("contribution.range", body.rule, state.charter.contribution.rule)
    return check_account(state, body) or ALLOWED


def may_deny(state: LogState, said: Said) -> Verdict:
    """Say whether this refusal may be logged: closed words, and no storm."""
    body = said.as_(DecisionDenied)
    if body.action not in ACTIONS or body.rule not in SENTENCES:
        return Denied("event.form", f"{body.action} {body.rule}", "a known kind and rule")
    times = state.denial_times.get(said.actor)
    if times and len(times) == DENIALS_PER_HOUR and said.moment - times[0] < HOUR:
        return Denied("denied.rate", DENIALS_PER_HOUR + 1, DENIALS_PER_HOUR)
    return ALLOWED


def deny(state: LogState, said: Said) -> None:
    """Keep the refusal on record."""
    body = said.as_(DecisionDenied)
    state.denials.append(Denial(said.index, said.actor, said.time, body))
    times = state.denial_times.setdefault(said.actor, deque(maxlen=DENIALS_PER_HOUR))
    times.append(said.moment)


def may_export(state: LogState, said: Said) -> Verdict:
    """Say whether the export covers entries of this log, with their root."""
    body = said.as_(ExportCreated)
    if not 1 <= body.size <= said.index:
        return Denied("export.range", body.size, said.index)
    root = base64.b64encode(state.root(body.size)).decode()
    if body.root != root:
        return Denied("export.range", body.root, root)
    return ALLOWED


def may_review(state: LogState, said: Said) -> Verdict:
    """Say whether the reviewed entries are there."""
    body = said.as_(ReviewNoted)
    if not body.from_ < body.to <= said.index:
        return Denied("review.range", f"{body.from_} to {body.to}", said.index)
    return ALLOWED


def review(state: StudyState, said: Said) -> None:
    """Open a case, or close every open one about entries that were all looked through again."""
    body = said.as_(ReviewNoted)
    if body.result == "opened_case":
        state.open_cases[said.index] = body
    elif body.result == "closed_case":
        state.open_cases = {
            index: case
            for index, case in state.open_cases.items()
            if case.from_ < body.from_ or case.to > body.to
        }


def may_erase(state: LogState, said: Said) -> Verdict:
    """That something was erased may always be said."""
    return ALLOWED


def noted(state: LogState, said: Said) -> None:
    """Nothing changes but that it was said."""
