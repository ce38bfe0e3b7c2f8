"""The fold of the consortium's log: what may be said in it, by which rule, and what it changes.

Source: design/ledger.md §2.3 and §5.
"""

from __future__ import annotations

from collections.abc import Callable

from compliance.records.decisions import ExportCreated
from compliance.records.envelope import Event
from compliance.records.kinds import CONSORTIUM
from compliance.records.members import MemberAdmitted
from compliance.rules import decisions, keys
from compliance.rules.arrival import check_signatures
from compliance.rules.consortium import agreement, members, offers, registry, studies
from compliance.rules.consortium.authority import check_authority
from compliance.rules.consortium.state import ConsortiumState, Exported
from compliance.rules.folding import Fold
from compliance.rules.keyring import KeyRing
from compliance.rules.said import Said
from compliance.rules.verdict import Denied, Verdict
from compliance.signing.note import Note

Rule = Callable[[ConsortiumState, Said], Verdict]
Effect = Callable[[ConsortiumState, Said], None]


def _exported(state: ConsortiumState, said: Said) -> None:
    state.exports.append(Exported(said.index, said.actor, said.as_(ExportCreated)))


FAMILIES: dict[str, tuple[Rule, Effect]] = {
    "agreement.amended": (agreement.may_amend, agreement.amend),
    "member.admitted": (members.may_admit, members.admit),
    "member.suspended": (members.may_suspend, members.suspend),
    "member.left": (members.may_leave, members.leave),
    "researcher.admitted": (members.may_admit_researcher, members.admit_researcher),
    "researcher.left": (members.may_leave_researcher, members.leave_researcher),
    "key.rotated": (keys.may_rotate, keys.rotate),
    "recipe.registered": (registry.may_register_recipe, registry.register_recipe),
    "recipe.retired": (registry.may_retire_recipe, registry.retire_recipe),
    "dataset.registered": (registry.may_register_dataset, registry.register_dataset),
    "dataset.withdrawn": (registry.may_withdraw_dataset, registry.withdraw_dataset),
    "offer.made": (offers.may_offer, offers.offer),
    "offer.withdrawn": (offers.may_withdraw_offer, offers.withdraw_offer),
    "request.made": (offers.may_request, offers.request),
    "request.answered": (offers.may_answer, offers.answer),
    "study.proposed": (studies.may_propose, studies.propose),
    "study.refused": (studies.may_refuse, studies.refuse),
    "study.opened": (studies.may_open, studies.open_study),
    "study.closed": (studies.may_close, studies.close_study),
    "decision.denied": (decisions.may_deny, decisions.deny),
    "export.created": (decisions.may_export, _exported),
    "review.noted": (decisions.may_review, decisions.noted),
    "erasure.done": (decisions.may_erase, decisions.noted),
}
"""For each kind: may it be said, and what it changes."""


def _voices(state: ConsortiumState, event: Event) -> KeyRing:
    """The keys in force; for an admission also those that the hospital brings.

    A hospital that is a member already brings nothing: its keys change by rotation.
    """
    body = event.body
    if not isinstance(body, MemberAdmitted) or body.site in state.active_members():
        return state.keys
    ring = KeyRing(dict(state.keys.current), dict(state.keys.holders))
    for key, holder in members.newcomers(body):
        if key.name.startswith(f"{body.site}/"):
            ring.admit(key, holder, state.size)
    return ring


def _check_signed(state: ConsortiumState, note: Note, event: Event) -> Denied | None:
    return check_signatures(note, _voices(state, event))


FOLD = Fold(
    kinds=CONSORTIUM,
    several=frozenset({"agreement.amended", "member.admitted", "member.suspended", "key.rotated"}),
    families=FAMILIES,
    judge_entry0=agreement.judge_entry0,
    begin=agreement.begin,
    check_signed=_check_signed,
    voices=_voices,
    check_authority=check_authority,
    beginning="a consortium begins with its agreement",
)
judge, advance, replay, may = FOLD.judge, FOLD.advance, FOLD.replay, FOLD.may
"""The questions to this fold; see `folding.Fold`."""
