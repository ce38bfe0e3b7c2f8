"""Which data a statement may speak of; limits and reductions by the hospital itself.

Source: design/ledger.md §2.2 and §4.3.
"""

from __future__ import annotations

from decimal import Decimal

from compliance.records.sites import (
    DatasetReduced,
    DatasetWithdrawn,
    SiteLimited,
)
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict


def check_dataset(state: StudyState, site: str, dataset: str, version: str) -> Denied | None:
    """Refuse a dataset that the charter does not name, that was withdrawn, or another version."""
    known = check_known(state, site, dataset)
    if known is not None:
        return known
    in_force = state.dataset_versions[site, dataset]
    if version != in_force:
        return Denied("dataset.version", version, in_force)
    return None


def check_known(state: StudyState, site: str, dataset: str) -> Denied | None:
    """Refuse a dataset that the charter does not name for this hospital, or that was withdrawn."""
    if (site, dataset) not in state.dataset_versions:
        return Denied("dataset.unknown", f"{site} {dataset}")
    return check_not_withdrawn(state, site, dataset)


def check_not_withdrawn(state: StudyState, site: str, dataset: str) -> Denied | None:
    """Refuse a dataset that its hospital withdrew."""
    if (site, dataset) in state.datasets_withdrawn:
        return Denied("dataset.withdrawn", f"{site} {dataset}")
    return None


def may_limit(state: StudyState, said: Said) -> Verdict:
    """Say whether this lowers the hospital's own cap."""
    body = said.as_(SiteLimited)
    known = check_known(state, said.site, body.dataset)
    if known is not None:
        return known
    cap = state.epsilon_cap.get((said.site, body.dataset))
    if cap is None or not 0 <= Decimal(body.epsilon) <= cap:
        return Denied("site.limit", body.epsilon, None if cap is None else str(cap))
    return ALLOWED


def limit(state: StudyState, said: Said) -> None:
    """Lower the cap."""
    body = said.as_(SiteLimited)
    state.epsilon_cap[said.site, body.dataset] = Decimal(body.epsilon)


def may_reduce(state: StudyState, said: Said) -> Verdict:
    """Say whether this moves the pin from the version in force to another one."""
    body = said.as_(DatasetReduced)
    wrong = check_dataset(state, said.site, body.dataset, body.from_version)
    if wrong is None and body.to_version == body.from_version:
        return Denied("dataset.version", body.to_version, "another version")
    return wrong or ALLOWED


def reduce(state: StudyState, said: Said) -> None:
    """Pin the smaller version."""
    body = said.as_(DatasetReduced)
    state.dataset_versions[said.site, body.dataset] = body.to_version


def may_withdraw_dataset(state: StudyState, said: Said) -> Verdict:
    """Say whether there is such a dataset to withdraw."""
    return check_known(state, said.site, said.as_(DatasetWithdrawn).dataset) or ALLOWED


def withdraw_dataset(state: StudyState, said: Said) -> None:
    """From now on no update may name it."""
    state.datasets_withdrawn.add((said.site, said.as_(DatasetWithdrawn).dataset))


def may_leave_study(state: StudyState, said: Said) -> Verdict:
    """A hospital leaves at once and alone; nobody can keep it."""
    return ALLOWED


def leave_study(state: StudyState, said: Said) -> None:
    """Count the hospital among those that left."""
    state.withdrawn.add(said.site)
