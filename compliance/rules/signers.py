"""Who can sign a text that waits, by its kind and by the log as it stands.

The hub counts by it, and whoever shows the text can count again.
"""

from __future__ import annotations

from compliance.records.agreement import Agreement
from compliance.records.decisions import CharterAmended
from compliance.records.envelope import Event
from compliance.records.keys import KeyRotated
from compliance.records.members import MemberAdmitted, MemberSuspended
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import CONSORTIUM, STUDY, State
from compliance.rules.state import StudyState
from compliance.signing.keys import VerifierKey

Signers = dict[str, VerifierKey]

OF_CONSORTIUM = CONSORTIUM.fold.several | {CONSORTIUM.entry0}
OF_STUDY = STUDY.fold.several
"""Kinds of which a text may wait for signatures."""


def may_sign(state: State | None, event: Event) -> Signers:
    """The key of everybody whose signature under this text can count.

    Args:
        state: the log that it would stand in; None before the consortium is founded.
        event: the statement.
    """
    if state is None:
        return _founders(event)
    if isinstance(state, ConsortiumState):
        return _of_consortium(state, event)
    return _of_study(state, event)


def _founders(event: Event) -> Signers:
    body = event.body
    if not isinstance(body, Agreement):
        return {}
    return _named([row.institution for row in body.members])


def _of_consortium(state: ConsortiumState, event: Event) -> Signers:
    body = event.body
    found = {name: state.keys.current[name] for name in state.institutions()}
    if isinstance(body, MemberAdmitted):
        return found | _named([body.institution])
    if isinstance(body, MemberSuspended):
        found.pop(f"{body.site}/institution", None)
    if isinstance(body, KeyRotated):
        found |= _itself(state, body)
    return found


def _of_study(state: StudyState, event: Event) -> Signers:
    body = event.body
    current = state.keys.current
    if isinstance(body, CharterAmended):
        named = _named([row.institution for row in body.charter.sites] + [body.charter.researcher])
        return {name: current.get(name, key) for name, key in named.items()}
    names = [f"{site}/institution" for site in state.active_sites()]
    found = {name: current[name] for name in names if name in current}
    if isinstance(body, KeyRotated):
        found |= _itself(state, body)
    return found


def _itself(state: State, body: KeyRotated) -> Signers:
    holder = state.keys.holders.get(body.name)
    if holder is None or holder.role not in ("N", "I", "R"):
        return {}
    return {body.name: state.keys.current[body.name]}


def _named(vkeys: list[str]) -> Signers:
    keys = [VerifierKey.parse(text) for text in vkeys]
    return {key.name: key for key in keys}
