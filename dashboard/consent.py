"""Who agreed that a model is handed out, by this process's own fold over the entries it checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compliance.rules.fold import replay
from compliance.rules.releases import RELEASED, Standing, standing

FORM = "weights"


@dataclass(frozen=True)
class Consent:
    """The newest model of a study, and what the hospitals said about it.

    Args:
        model: its hash.
        round: the round that made it.
        standing: who agreed, refused, said nothing, and how many must agree.
        state: `released`, `recalled`, or empty.
        handed_out: the newest released model, or None.
    """

    model: str
    round: int
    standing: Standing
    state: str
    handed_out: str | None


def consent_of(entries: Sequence[bytes]) -> Consent | None:
    """Read the consent from a log's entries; None while no round is closed.

    Raises:
        Refused, Malformed: the entries obey no rules.
    """
    state = replay(entries)
    if not state.rounds_closed:
        return None
    newest = state.rounds_closed[-1]
    out = [
        row.model_sha256
        for row in state.rounds_closed
        if state.released.get(row.model_sha256) == RELEASED
    ]
    return Consent(
        model=newest.model_sha256,
        round=newest.number,
        standing=standing(state, newest.model_sha256, FORM),
        state=state.released.get(newest.model_sha256, ""),
        handed_out=out[-1] if out else None,
    )
