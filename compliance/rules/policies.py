"""The policy in force: the charter's terms with the keys of now, after every rotation.

An auditor's older policy names keys that were replaced since; the fold knows which entry did it.

Source: design/ledger.md §3 and §4.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from compliance.ledger.policy import policy_of_agreement, policy_of_charter
from compliance.records.agreement import AgreementQuorum
from compliance.records.charter import QuorumTerms
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.state import StudyState


@dataclass(frozen=True)
class _Witness:
    name: str
    witness: str


@dataclass(frozen=True)
class _Chartered:
    """The fields from which a policy follows."""

    log_key: str
    sites: list[_Witness]
    quorum: QuorumTerms


@dataclass(frozen=True)
class _Agreed:
    """The same of an agreement."""

    log_key: str
    members: list[_Witness]
    quorum: AgreementQuorum


def policy_in_force(state: StudyState) -> str:
    """The policy text that the newest checkpoint of this log must satisfy."""
    held, charter = state.keys.current, state.charter
    sites = [_Witness(site.name, str(held[f"{site.name}/witness"])) for site in charter.sites]
    return policy_of_charter(_Chartered(str(held[charter.origin]), sites, charter.quorum))


def agreed_policy_in_force(state: ConsortiumState) -> str:
    """The same of the consortium log; a witness that left keeps the last key it had."""
    held, agreement = state.keys.current, state.agreement
    rows = [_Witness(row.name, str(held[f"{row.name}/witness"])) for row in agreement.members]
    return policy_of_agreement(_Agreed(str(held[state.origin]), rows, agreement.quorum))
