"""Who may say what in the consortium log; who is suspended says nothing.

Source: design/ledger.md §2.3 and §3.
"""

from __future__ import annotations

from compliance.rules.consortium.state import ConsortiumState, Standing
from compliance.rules.said import Said
from compliance.rules.verdict import Denied

MAY_SAY: dict[str, str] = {
    "agreement.amended": "I",
    "member.admitted": "I",
    "member.suspended": "I",
    "member.left": "NI",
    "researcher.admitted": "HI",
    "researcher.left": "HI",
    "key.rotated": "NIHR",
    "recipe.registered": "H",
    "recipe.retired": "HI",
    "dataset.registered": "N",
    "dataset.withdrawn": "NI",
    "offer.made": "NH",
    "offer.withdrawn": "NIH",
    "request.made": "R",
    "request.answered": "NIH",
    "study.proposed": "RH",
    "study.refused": "I",
    "study.opened": "H",
    "study.closed": "H",
    "decision.denied": "HN",
    "export.created": "HN",
    "review.noted": "NIH",
    "erasure.done": "HN",
}
"""Roles by kind: H hub, N node, I institution, R researcher."""


def check_authority(state: ConsortiumState, said: Said) -> Denied | None:
    """Refuse what this key may not say, what its hospital may not say now, or in whose name."""
    allowed = MAY_SAY.get(said.kind, "")
    if not said.role or said.role not in allowed:
        return Denied("authority", f"{said.actor} says {said.kind}", allowed)
    if said.role != "H" and getattr(said.body, "on_behalf", None) is not None:
        return Denied("authority", f"{said.actor} speaks on behalf of somebody", "the hub only")
    if said.site and said.kind != "member.admitted":
        return _check_standing(state, said.site)
    return None


def _check_standing(state: ConsortiumState, site: str) -> Denied | None:
    known = state.members.get(site)
    if known is not None and known.standing is Standing.SUSPENDED:
        return Denied("site.suspended", site)
    if known is None or known.standing is Standing.LEFT:
        return Denied("member.known", site, "a member")
    return None
