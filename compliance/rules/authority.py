"""Who may say what, and when in a study's life.

What promises or loosens needs the institution key; what only reports or tightens may be signed by
the node.

Source: design/ledger.md §2.2 and §3.
"""

from __future__ import annotations

from compliance.rules.phases import MOVING, STEPS, WRONG, Phase
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import Denied

MAY_SAY: dict[str, str] = {
    "round.opened": "H",
    "update.submitted": "N",
    "metric.reported": "N",
    "mask.key": "N",
    "round.unmasking": "H",
    "round.closed": "H",
    "round.aborted": "H",
    "charter.amended": "R",
    "site.joined": "I",
    "site.withdrawn": "NI",
    "site.limited": "NI",
    "dataset.reduced": "N",
    "dataset.withdrawn": "NI",
    "study.stopped": "NIHR",
    "study.resumed": "I",
    "study.closed": "HR",
    "release.approved": "I",
    "release.refused": "I",
    "model.released": "H",
    "model.recalled": "HI",
    "coalition.measured": "N",
    "contribution.measured": "H",
    "key.rotated": "NIHR",
    "decision.denied": "HN",
    "export.created": "HN",
    "review.noted": "NIH",
    "erasure.done": "HN",
}
"""Roles by kind: H hub, N node, I institution, R researcher."""

FROM_OUTSIDE = frozenset({"site.joined", "key.rotated", "erasure.done"})
"""What a hospital that has not signed or has left may still say: come in, save a key, erase."""


def check_authority(state: StudyState, said: Said) -> Denied | None:
    """Refuse what this key may not say, or this hospital not now, or the study not now."""
    allowed = MAY_SAY.get(said.kind, "")
    if not said.role or said.role not in allowed:
        return Denied("authority", f"{said.actor} says {said.kind}", allowed)
    if said.site and said.kind not in FROM_OUTSIDE:
        if said.site not in state.signed:
            return Denied("site.unsigned", said.site)
        if said.site in state.withdrawn:
            return Denied("site.withdrawn", said.site)
    return _check_phase(state, said)


def _check_phase(state: StudyState, said: Said) -> Denied | None:
    if said.kind in MOVING and (state.phase, said.kind) not in STEPS:
        if said.kind == "study.resumed" and state.phase is not Phase.CLOSED:
            return Denied("resume.signatures", "the study is not stopped")
        return Denied(WRONG[state.phase], said.kind, state.phase.value)
    return None
