"""Who may replace which key. A public key seen once never returns.

Source: design/ledger.md §3.
"""

from __future__ import annotations

from compliance.records.keys import KeyRotated
from compliance.records.reasons import Rotated
from compliance.rules.said import LogState, Said
from compliance.rules.verdict import ALLOWED, Denied, Verdict
from compliance.signing.keys import VerifierKey


def may_rotate(state: LogState, said: Said) -> Verdict:
    """Say whether this key may take the place of the one in force."""
    body = said.as_(KeyRotated)
    key, held = VerifierKey.parse(body.vkey), state.keys.current.get(body.name)
    if held is None or (key.name, key.kind) != (held.name, held.kind):
        return Denied("key.name", str(key), body.name)
    if key.public in state.keys.seen:
        return Denied("key.reuse", str(key))
    if _own_hand(state, said, body) or _peers(state, said, body):
        return ALLOWED
    return Denied("key.authority", sorted(said.signers), body.name)


def rotate(state: LogState, said: Said) -> None:
    """Put the new key in force, from the next entry on."""
    state.keys.rotate(VerifierKey.parse(said.as_(KeyRotated).vkey), said.index)


def _own_hand(state: LogState, said: Said, body: KeyRotated) -> bool:
    """One signer: the institution for its machines; each for itself when planned."""
    if len(said.signers) != 1:
        return False
    holder = state.keys.holders[body.name]
    planned = body.reason is Rotated.PLANNED
    if holder.role in ("N", "W"):
        by_institution = said.role == "I" and said.site == holder.site
        itself = holder.role == "N" and planned and said.actor == body.name
        return (by_institution or itself) and body.reason is not Rotated.TAKEOVER
    if holder.role == "L":
        return planned and said.role == "H"
    return planned and said.actor == body.name


def _peers(state: LogState, said: Said, body: KeyRotated) -> bool:
    """Lost, stolen or taken over: the institutions of other active hospitals, most of them."""
    holder = state.keys.holders[body.name]
    hub_side = holder.role in ("H", "L")
    if body.reason is Rotated.PLANNED or holder.role not in ("I", "R", "H", "L"):
        return False
    if body.reason is Rotated.TAKEOVER and not hub_side:
        return False
    others = {f"{site}/institution" for site in state.active_sites() if site != holder.site}
    if not said.signers <= others:
        return False
    enough = len(said.signers) >= state.signatures_required - 1
    return enough and 2 * len(said.signers) > len(others)
