"""The two families of logs, a study's and the consortium's, behind one set of questions.

Hub, witness and auditor keep many logs; which rules a log follows is told by its name.

Source: design/ledger.md §1 and §9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from compliance.records import kinds
from compliance.records.types import Record
from compliance.rules import fold as study_fold
from compliance.rules.consortium import fold as consortium_fold
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.folding import Fold
from compliance.rules.policies import agreed_policy_in_force, policy_in_force
from compliance.rules.state import StudyState
from compliance.rules.verdict import Verdict

State = StudyState | ConsortiumState


LIFTED_BY_SIGNATURES = frozenset(
    {"agreement.signatures", "member.signatures", "charter.signatures", "resume.signatures",
     "key.authority", "amend.cap", "event.signer"}
)  # fmt: skip
"""Refusals of a text that waits for signatures which more of them can lift."""


@dataclass(frozen=True)
class Family:
    """How one kind of log is read.

    Args:
        name: `study` or `consortium`.
        entry0: type of its first entry.
        fold: what may stand in it afterwards, and by which rules.
        policy: the policy text that follows from the charter or agreement and the keys in force.
    """

    name: str
    entry0: str
    fold: Fold[Any]
    policy: Callable[[Any], str]

    @property
    def kinds(self) -> Mapping[str, type[Record]]:
        """What may stand in it; hand it to `parse_event` and `write_event`."""
        return self.fold.kinds

    @property
    def judge(self) -> Callable[..., Verdict]:
        """May this note be the next entry."""
        return self.fold.judge

    @property
    def advance(self) -> Callable[[Any, bytes, int], State]:
        """Take an allowed note into the state."""
        return self.fold.advance

    @property
    def replay(self) -> Callable[[Iterable[bytes]], State]:
        """Fold a whole log."""
        return self.fold.replay

    @property
    def may(self) -> Callable[[Any, str, dict[str, Any], str, str], Verdict]:
        """The question before the act."""
        return self.fold.may


STUDY = Family("study", kinds.CHARTER, study_fold.FOLD, policy_in_force)
CONSORTIUM = Family("consortium", kinds.AGREEMENT, consortium_fold.FOLD, agreed_policy_in_force)


def family_of(name: str) -> Family:
    """The family of a log by its origin, or by its short name in an address.

    Args:
        name: `consortium`, `HOST/consortium`, `HOST/study/<16 hex>` or the 16 hex.
    """
    return CONSORTIUM if name.rpartition("/")[2] == "consortium" else STUDY
