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
from compliance.rules.policies import agreed_policy_in_force, policy_in_force
from compliance.rules.state import StudyState
from compliance.rules.verdict import Verdict

State = StudyState | ConsortiumState


@dataclass(frozen=True)
class Family:
    """How one kind of log is read.

    Args:
        name: `study` or `consortium`.
        entry0: type of its first entry.
        kinds: what may stand in it afterwards; hand it to `parse_event` and `write_event`.
        judge: may this note be the next entry.
        advance: take an allowed note into the state.
        replay: fold a whole log.
        may: the question before the act.
        policy: the policy text that follows from the charter or agreement and the keys in force.
    """

    name: str
    entry0: str
    kinds: Mapping[str, type[Record]]
    judge: Callable[..., Verdict]
    advance: Callable[[Any, bytes, int], State]
    replay: Callable[[Iterable[bytes]], State]
    may: Callable[[Any, str, dict[str, Any], str, str], Verdict]
    policy: Callable[[Any], str]


STUDY = Family(
    name="study",
    entry0=kinds.CHARTER,
    kinds=kinds.STUDY,
    judge=study_fold.judge,
    advance=study_fold.advance,
    replay=study_fold.replay,
    may=study_fold.may,
    policy=policy_in_force,
)
CONSORTIUM = Family(
    name="consortium",
    entry0=kinds.AGREEMENT,
    kinds=kinds.CONSORTIUM,
    judge=consortium_fold.judge,
    advance=consortium_fold.advance,
    replay=consortium_fold.replay,
    may=consortium_fold.may,
    policy=agreed_policy_in_force,
)


def family_of(name: str) -> Family:
    """The family of a log by its origin, or by its short name in an address.

    Args:
        name: `consortium`, `HOST/consortium`, `HOST/study/<16 hex>` or the 16 hex.
    """
    return CONSORTIUM if name.rpartition("/")[2] == "consortium" else STUDY
