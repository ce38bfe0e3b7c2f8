"""Where a hospital stands: the members' log decides, a table only says who waits or is shut out."""

from __future__ import annotations

from dataclasses import dataclass

from compliance.rules.consortium.state import ConsortiumState, Standing
from hub.storage import members as rows

ACTIVE, WAITING, SHUT_OUT = "active", "waiting", "shut_out"
SHUT = (str(Standing.SUSPENDED), str(Standing.LEFT), SHUT_OUT)
"""Standings in which a hospital's requests and its Flower node are refused."""
MAY_RETURN = (str(Standing.SUSPENDED), str(Standing.LEFT))
"""Standings by the members' own word, from which a hospital may ask to be admitted again."""
OUT = {
    str(Standing.SUSPENDED): "The members suspended this hospital. It asks to be admitted again "
    "with `consilium site admit` and its own name.",
    str(Standing.LEFT): "This hospital left the consortium. It asks to be admitted again with "
    "`consilium site admit` and its own name.",
    SHUT_OUT: "The hub's administrator does not serve this hospital at present: call them.",
}


@dataclass(frozen=True)
class Known:
    """Where a hospital stands (`active`, `waiting`, `suspended`, `left`, `shut_out`), its keys."""

    standing: str
    keys: dict[str, str]


def standings_of(found: list[rows.MemberRow], state: ConsortiumState | None) -> dict[str, Known]:
    """Where each of these hospitals stands; before the founding all of them are active."""
    told = {}
    for row in found:
        keys = {"institution": row.institution, "node": row.node, "witness": row.witness}
        standing = ACTIVE
        if state is not None and row.site in state.members:
            standing = str(state.members[row.site].standing)
            keys = {role: str(state.keys.current[f"{row.site}/{role}"]) for role in keys}
        elif state is not None:
            standing = WAITING
        told[row.site] = Known(SHUT_OUT if row.suspended else standing, keys)
    return told
