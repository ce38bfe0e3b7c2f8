"""Hospitals and researchers come in, are suspended, leave.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

import re
from dataclasses import replace

from compliance.records.members import (
    MemberAdmitted,
    MemberLeft,
    MemberSuspended,
    ResearcherAdmitted,
    ResearcherLeft,
)
from compliance.rules.consortium.agreement import MEMBERS, check_decided, key_places
from compliance.rules.consortium.state import ConsortiumState, Member, Researcher, Standing
from compliance.rules.keyring import Holder
from compliance.rules.said import Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.keys import NOTE, VerifierKey

_RESEARCHER = re.compile(r"[^/]+/r-[0-9]+")


def newcomers(body: MemberAdmitted) -> list[tuple[VerifierKey, Holder]]:
    """The three keys that a hospital brings, with their holder."""
    texts = (body.institution, body.node, body.witness)
    roles = zip(texts, "INW", strict=True)
    return [(VerifierKey.parse(text), Holder(role, body.site)) for text, role in roles]


def may_admit(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this hospital may come in, or back: enough members and itself want it."""
    body = said.as_(MemberAdmitted)
    known = state.members.get(body.site)
    if known is not None and known.standing is Standing.ACTIVE:
        return Denied("member.known", body.site, "not a member yet")
    others = len(set(state.bound()) - {body.site})
    if others >= MEMBERS[1]:
        return Denied("member.known", f"{others} members", f"at most {MEMBERS[1]}")
    return _keys_of_newcomer(state, body) or _wanted(state, said, body) or ALLOWED


def admit(state: ConsortiumState, said: Said) -> None:
    """Count the hospital among the members, with the keys it brought."""
    body = said.as_(MemberAdmitted)
    for key, holder in newcomers(body):
        state.keys.admit(key, holder, said.index)
    state.members[body.site] = Member(body.site, body.country, Standing.ACTIVE, said.index)


def may_suspend(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether enough others suspend this hospital."""
    body = said.as_(MemberSuspended)
    if body.site not in state.active_members():
        return Denied("member.known", body.site, "an active member")
    if f"{body.site}/institution" in said.signers:
        return Denied("note.form", f"a signature of {body.site}", "the others only")
    k = state.agreement.admit_k
    return check_decided(state, said, k, "member.signatures", besides=body.site) or ALLOWED


def suspend(state: ConsortiumState, said: Said) -> None:
    """Let the hospital be silent until it is admitted again."""
    _stands(state, said.as_(MemberSuspended).site, Standing.SUSPENDED, said.index)


def may_leave(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this hospital leaves itself; nobody leaves for another."""
    body = said.as_(MemberLeft)
    if said.site != body.site:
        return Denied("authority", f"{said.site} says that {body.site} leaves", "itself")
    return ALLOWED


def leave(state: ConsortiumState, said: Said) -> None:
    """Let the hospital go."""
    _stands(state, said.as_(MemberLeft).site, Standing.LEFT, said.index)


def may_admit_researcher(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this is a new name `R/r-N` with a key never seen."""
    body = said.as_(ResearcherAdmitted)
    key = VerifierKey.parse(body.vkey)
    if body.name in state.keys.holders or body.name in state.researchers:
        return Denied("member.known", body.name, "a new name")
    if (key.name, key.kind) != (body.name, NOTE) or not _RESEARCHER.fullmatch(body.name):
        return Denied("key.name", key.name, f"{body.name}, a name that ends in /r- and a number")
    if key.public in state.keys.seen:
        return Denied("key.reuse", str(key))
    return ALLOWED


def admit_researcher(state: ConsortiumState, said: Said) -> None:
    """Let the researcher's key speak."""
    body = said.as_(ResearcherAdmitted)
    state.keys.admit(VerifierKey.parse(body.vkey), Holder("R"), said.index)
    state.researchers[body.name] = Researcher(body.name, said.index)


def may_leave_researcher(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this researcher is here to leave."""
    known = state.researchers.get(said.as_(ResearcherLeft).name)
    if known is None or known.left is not None:
        return Denied("member.known", said.as_(ResearcherLeft).name, "a researcher who is here")
    return ALLOWED


def leave_researcher(state: ConsortiumState, said: Said) -> None:
    """Let the researcher's key fall silent."""
    name = said.as_(ResearcherLeft).name
    state.researchers[name] = replace(state.researchers[name], left=said.index)
    state.keys.drop(name)


def _keys_of_newcomer(state: ConsortiumState, body: MemberAdmitted) -> Denied | None:
    """Keys with the right names: the ones it held, or ones that nobody ever saw."""
    fresh: set[bytes] = set()
    for text, name, kind in key_places(body.site, body.institution, body.node, body.witness):
        key = VerifierKey.parse(text)
        if (key.name, key.kind) != (name, kind):
            return Denied("key.name", f"{key.name} type {key.kind}", f"{name} type {kind}")
        if state.keys.current.get(name) == key:
            continue
        if key.public in state.keys.seen | fresh:
            return Denied("key.reuse", str(key))
        fresh.add(key.public)
    return None


def _wanted(state: ConsortiumState, said: Said, body: MemberAdmitted) -> Denied | None:
    own = f"{body.site}/institution"
    if own not in said.signers:
        return Denied("member.signatures", "not signed by the hospital itself", own)
    k = state.agreement.admit_k
    return check_decided(state, said, k, "member.signatures", besides=body.site)


def _stands(state: ConsortiumState, site: str, standing: Standing, index: int) -> None:
    state.members[site] = replace(state.members[site], standing=standing, since=index)
