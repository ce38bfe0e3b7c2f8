"""Studies: proposed, refused, listed, closed. A hospital joins none that is not listed here.

Source: design/ledger.md §2.3.
"""

from __future__ import annotations

from dataclasses import replace

from compliance.records.consortium import StudyRefusal
from compliance.records.studies import StudyEnded, StudyOpened, StudyProposed
from compliance.rules.consortium.state import ConsortiumState, Listed, Proposed
from compliance.rules.said import Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict


def may_propose(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this charter is new, and for whom the hub proposes it."""
    body = said.as_(StudyProposed)
    if said.role == "H" and body.on_behalf is None:
        return Denied("authority", "the hub proposes by itself", "on behalf of a researcher")
    if body.charter in state.proposed:
        return Denied("study.twice", body.charter)
    return ALLOWED


def propose(state: ConsortiumState, said: Said) -> None:
    """Lay the charter before the hospitals."""
    state.proposed[said.as_(StudyProposed).charter] = Proposed(said.index, said.actor)


def may_refuse(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether this hospital refuses for the first time.

    Also a charter that the hub never proposed here: a refusal is not the hub's to prevent.
    """
    charter = said.as_(StudyRefusal).charter
    if said.site in state.refused.get(charter, {}):
        return Denied("study.twice", f"{said.site} {charter}")
    return ALLOWED


def refuse(state: ConsortiumState, said: Said) -> None:
    """Keep the refusal and its reason."""
    body = said.as_(StudyRefusal)
    state.refused.setdefault(body.charter, {})[said.site] = body.reason


def may_open(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether neither this charter nor this log is listed already."""
    body = said.as_(StudyOpened)
    if body.charter in state.studies:
        return Denied("study.twice", body.charter)
    if body.origin in state.listed_origins:
        return Denied("study.twice", body.origin)
    return ALLOWED


def open_study(state: ConsortiumState, said: Said) -> None:
    """List the study: from here on hospitals may join it."""
    body = said.as_(StudyOpened)
    state.studies[body.charter] = Listed(body.origin, body.entry0, said.index)
    state.listed_origins.add(body.origin)


def may_close(state: ConsortiumState, said: Said) -> Verdict:
    """Say whether exactly this study is listed and open."""
    body = said.as_(StudyEnded)
    known = state.studies.get(body.charter)
    if known is None or (known.origin, known.entry0) != (body.origin, body.entry0):
        return Denied("study.unlisted", f"{body.charter} {body.origin}")
    if known.closed is not None:
        return Denied("study.closed", body.charter)
    return ALLOWED


def close_study(state: ConsortiumState, said: Said) -> None:
    """Keep the study in the list, as closed."""
    charter = said.as_(StudyEnded).charter
    state.studies[charter] = replace(state.studies[charter], closed=said.index)
