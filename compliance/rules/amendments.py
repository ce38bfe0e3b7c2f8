"""Amendments: a new complete charter, signed like the first; nobody is bound unsigned.

Source: design/ledger.md §4.4.
"""

from __future__ import annotations

from decimal import Decimal

from compliance.records.charter import CharterBody
from compliance.records.decisions import CharterAmended
from compliance.records.sites import SiteJoined
from compliance.rules.charter import check_signed, check_text, sites_of
from compliance.rules.keyring import holders_of
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict

FIXED = ("origin", "consortium", "initial_model_sha256", "start_model")


def may_amend(state: StudyState, said: Said) -> Verdict:
    """Say whether this text may take the place of the charter in force."""
    amended = said.as_(CharterAmended)
    body = amended.charter
    return (
        check_version(state, amended.previous)
        or _fixed(state, body)
        or check_text(body)
        or _keys(state, body)
        or check_signed(body, said.signers, proposer=said.actor)
        or _caps(state, body, said.signers)
        or ALLOWED
    )


def check_version(state: StudyState, version: str) -> Denied | None:
    """Refuse what names another version than the one in force."""
    if version != state.version_id:
        return Denied("amend.previous", version, state.version_id)
    return None


def amend(state: StudyState, said: Said) -> None:
    """Put the new charter in force; whoever did not sign it is outside."""
    body = said.as_(CharterAmended).charter
    signed = sites_of(body, said.signers)
    caps = {}
    for row in body.datasets:
        pair = row.site, row.id
        if row.epsilon is not None:
            cap, before = Decimal(row.epsilon), state.epsilon_cap.get(pair)
            caps[pair] = cap if before is None or row.site in signed else min(cap, before)
    state.epsilon_cap = caps
    state.dataset_versions = {(row.site, row.id): row.version for row in body.datasets}
    state.charter, state.version_id = body, body.digest()
    state.signed = signed
    state.withdrawn = (state.withdrawn & set(body.site_names())) - signed
    state.keys.adopt(holders_of(body), said.index)


def may_join(state: StudyState, said: Said) -> Verdict:
    """Say whether this hospital may sign later, or come back."""
    return check_version(state, said.as_(SiteJoined).charter) or ALLOWED


def join(state: StudyState, said: Said) -> None:
    """Count the hospital among those that signed."""
    state.signed.add(said.site)
    state.withdrawn.discard(said.site)


def _fixed(state: StudyState, body: CharterBody) -> Denied | None:
    for name in FIXED:
        if getattr(body, name) != getattr(state.charter, name):
            return Denied("amend.fixed", name)
    if body.log_key != str(state.keys.current[state.charter.origin]):
        return Denied("amend.fixed", "log_key")
    return None


def _keys(state: StudyState, body: CharterBody) -> Denied | None:
    """A name that has a key keeps it; a new name brings a key never seen."""
    for key, _ in holders_of(body):
        held = state.keys.current.get(key.name)
        if held is not None and held != key:
            return Denied("charter.keys", f"another key for {key.name}", "the key in force")
        if held is None and key.public in state.keys.seen:
            return Denied("charter.keys", f"{key.name} brings a key that was used before")
    return None


def _caps(state: StudyState, body: CharterBody, signers: frozenset[str]) -> Denied | None:
    signed = sites_of(body, signers)
    for row in body.datasets:
        before = state.epsilon_cap.get((row.site, row.id))
        if before is None or row.site in signed:
            continue
        if row.epsilon is None or Decimal(row.epsilon) > before:
            return Denied("amend.cap", f"{row.site} {row.id}: {row.epsilon}", str(before))
    return None
