"""The fold of a study's log: what may be said in it, by which rule, and what it changes.

Source: design/ledger.md §2.1, §2.2 and §5.
"""

from __future__ import annotations

from collections.abc import Callable

from compliance.records.decisions import CharterAmended
from compliance.records.envelope import Event
from compliance.records.kinds import STUDY
from compliance.rules import (
    amendments,
    charter,
    coalitions,
    datasets,
    decisions,
    keys,
    masking,
    metrics,
    releases,
    rounds,
    updates,
)
from compliance.rules.arrival import check_signatures
from compliance.rules.authority import check_authority
from compliance.rules.folding import Fold
from compliance.rules.keyring import KeyRing, holders_of
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied, Verdict
from compliance.signing.note import Note

Rule = Callable[[StudyState, Said], Verdict]
Effect = Callable[[StudyState, Said], None]

FAMILIES: dict[str, tuple[Rule, Effect]] = {
    "round.opened": (rounds.may_open, rounds.open_round),
    "update.submitted": (updates.may_submit, updates.submit),
    "metric.reported": (metrics.may_report, metrics.report),
    "mask.key": (masking.may_publish, masking.publish),
    "round.unmasking": (masking.may_unmask, masking.unmask),
    "round.closed": (rounds.may_close, rounds.close_round),
    "round.aborted": (rounds.may_abort, rounds.end_round),
    "charter.amended": (amendments.may_amend, amendments.amend),
    "site.joined": (amendments.may_join, amendments.join),
    "site.withdrawn": (datasets.may_leave_study, datasets.leave_study),
    "site.limited": (datasets.may_limit, datasets.limit),
    "dataset.reduced": (datasets.may_reduce, datasets.reduce),
    "dataset.withdrawn": (datasets.may_withdraw_dataset, datasets.withdraw_dataset),
    "study.stopped": (decisions.may_stop, decisions.stop),
    "study.resumed": (decisions.may_resume, decisions.resume),
    "study.closed": (decisions.may_close_study, decisions.close_study),
    "release.approved": (releases.may_approve, releases.approve),
    "release.refused": (releases.may_refuse, releases.refuse),
    "model.released": (releases.may_release, releases.release),
    "model.recalled": (releases.may_recall, releases.recall),
    "coalition.measured": (coalitions.may_measure_coalitions, coalitions.measure_coalitions),
    "contribution.measured": (decisions.may_measure, coalitions.keep_account),
    "key.rotated": (keys.may_rotate, keys.rotate),
    "decision.denied": (decisions.may_deny, decisions.deny),
    "export.created": (decisions.may_export, decisions.noted),
    "review.noted": (decisions.may_review, decisions.review),
    "erasure.done": (decisions.may_erase, decisions.noted),
}
"""For each kind: may it be said, and what it changes."""


def _voices(state: StudyState, _: Event) -> KeyRing:
    return state.keys


def _check_signed(state: StudyState, note: Note, event: Event) -> Denied | None:
    """An amendment may bring keys for names that have none yet; nothing else does."""
    if not isinstance(event.body, CharterAmended):
        return check_signatures(note, state.keys)
    added = KeyRing()
    added.adopt(holders_of(event.body.charter), 0)
    return check_signatures(note, state.keys, added)


FOLD = Fold(
    kinds=STUDY,
    several=frozenset({"charter.amended", "study.resumed", "key.rotated"}),
    families=FAMILIES,
    judge_entry0=charter.judge_entry0,
    begin=charter.begin,
    check_signed=_check_signed,
    voices=_voices,
    check_authority=check_authority,
    beginning="a study begins with its charter",
)
judge, advance, replay, may = FOLD.judge, FOLD.advance, FOLD.replay, FOLD.may
"""The questions to this fold; see `folding.Fold`."""
