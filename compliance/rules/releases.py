"""A model leaves with consent only: approvals, vetoes, forms, recalls.

Source: design/ledger.md §2.2 and §5.
"""

from __future__ import annotations

from dataclasses import dataclass

from compliance.records.releases import (
    ModelRecalled,
    ModelReleased,
    ReleaseApproved,
    ReleaseDenied,
)
from compliance.rules.said import Said
from compliance.rules.state import StudyState
from compliance.rules.verdict import ALLOWED, Denied, Verdict

RELEASED = "released"
RECALLED = "recalled"


@dataclass(frozen=True)
class Standing:
    """Who said what about letting one model out, counted as the rule counts.

    Args:
        agreed: active hospitals that agreed to this form.
        refused: hospitals that said no.
        silent: active hospitals that said nothing.
        needed: how many must agree.
        veto: whether one no is enough.
    """

    agreed: list[str]
    refused: list[str]
    silent: list[str]
    needed: int
    veto: bool

    @property
    def vetoed(self) -> bool:
        """Whether a no stands in the way."""
        return self.veto and bool(self.refused)

    @property
    def enough(self) -> bool:
        """Whether as many agreed as the charter asks, and nobody stands in the way."""
        return not self.vetoed and len(self.agreed) >= self.needed


def standing(state: StudyState, model: str, form: str) -> Standing:
    """Count who agreed, refused or said nothing; whoever left the study no longer agrees."""
    active = set(state.active_sites())
    agreed = state.approvals.get((model, form), set()) & active
    refused = state.refusals.get(model, set())
    terms = state.charter.release
    return Standing(
        agreed=sorted(agreed),
        refused=sorted(refused),
        silent=sorted(active - agreed - refused),
        needed=terms.k,
        veto=terms.veto,
    )


def check_model(state: StudyState, model: str, *, start_too: bool = False) -> Denied | None:
    """Refuse a model that no closed round of this study made (`start_too`: nor is its start)."""
    known = model in state.models if start_too else state.is_round_model(model)
    if not known:
        return Denied("release.model", model)
    return None


def check_form(state: StudyState, form: str) -> Denied | None:
    """Refuse a form in which nothing may leave."""
    outputs = state.charter.release.outputs
    if form not in outputs:
        return Denied("release.output", form, list(outputs))
    return None


def may_approve(state: StudyState, said: Said) -> Verdict:
    """Say whether there is such a model to approve, in this form."""
    body = said.as_(ReleaseApproved)
    return check_model(state, body.model_sha256) or check_form(state, body.form) or ALLOWED


def approve(state: StudyState, said: Said) -> None:
    """Count the approval; it takes back an earlier refusal of the same hospital."""
    body = said.as_(ReleaseApproved)
    state.approvals.setdefault((body.model_sha256, body.form), set()).add(said.site)
    state.refusals.get(body.model_sha256, set()).discard(said.site)


def may_refuse(state: StudyState, said: Said) -> Verdict:
    """Say whether there is such a model to refuse."""
    return check_model(state, said.as_(ReleaseDenied).model_sha256) or ALLOWED


def refuse(state: StudyState, said: Said) -> None:
    """Count the refusal; it takes back earlier approvals of the same hospital."""
    model = said.as_(ReleaseDenied).model_sha256
    state.refusals.setdefault(model, set()).add(said.site)
    for (approved, _), sites in state.approvals.items():
        if approved == model:
            sites.discard(said.site)


def may_release(state: StudyState, said: Said) -> Verdict:
    """Say whether this model may leave."""
    body = said.as_(ModelReleased)
    wrong = check_model(state, body.model_sha256) or check_form(state, body.form)
    if wrong is not None:
        return wrong
    counted = standing(state, body.model_sha256, body.form)
    if counted.vetoed:
        return Denied("release.refused", counted.refused)
    if not counted.enough:
        return Denied("release.approvals", len(counted.agreed), counted.needed)
    return ALLOWED


def release(state: StudyState, said: Said) -> None:
    """Mark the model as released."""
    state.released[said.as_(ModelReleased).model_sha256] = RELEASED


def may_recall(state: StudyState, said: Said) -> Verdict:
    """Say whether this model was released, and its substitute is one of this study."""
    body = said.as_(ModelRecalled)
    wrong = check_model(state, body.model_sha256)
    if wrong is None and body.model_sha256 not in state.released:
        return Denied("release.model", body.model_sha256, "a released model")
    if wrong is None and body.replaced_by is not None:
        wrong = check_model(state, body.replaced_by)
    return wrong or ALLOWED


def recall(state: StudyState, said: Said) -> None:
    """Mark the model as recalled; it stays visible for ever."""
    state.released[said.as_(ModelRecalled).model_sha256] = RECALLED
