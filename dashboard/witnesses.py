"""How far each witness of a log has come: its newest cosignature, verified under the own fold.

The hub tells a line and a size. The checkpoint under it is made here, from the entries that were
folded here, so a hub can keep a cosignature back but invent none. What a hospital tells of its own
copy comes through the hub too; only a contradiction in it means something.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from compliance.errors import ConsiliumError
from compliance.ledger.checkpoint import Checkpoint
from compliance.ledger.cosign import check_cosignature
from compliance.rules import quorum
from compliance.rules.consortium.state import ConsortiumState
from compliance.rules.logs import State
from dashboard import words

Plain = Mapping[str, Any]


@dataclass(frozen=True)
class Witness:
    """One witness of a log.

    Args:
        site: the hospital.
        reach: `even`, `behind`, `never`, `beyond` for one about entries that were not shown here,
            or `false` for a line that does not hold.
        size: entries under its newest cosignature; 0 for none.
        time: when it cosigned, s since 1970; 0 for none.
        behind: entries of the log that it has not cosigned.
    """

    site: str
    reach: str
    size: int = 0
    time: int = 0
    behind: int = 0


def witnesses_of(state: State) -> list[str]:
    """The hospitals whose cosignatures count for this log."""
    terms = state.agreement if isinstance(state, ConsortiumState) else state.charter
    return list(terms.quorum.witnesses)


def asked_for(state: State) -> str:
    """How many of how many must cosign, and what that bears, in one sentence."""
    if isinstance(state, ConsortiumState):
        agreed = state.agreement.quorum
        return quorum.words(len(agreed.witnesses), agreed.k)
    terms = state.charter.quorum
    return quorum.words(len(terms.witnesses) + len(terms.external), terms.k)


def reached(state: State, told: Sequence[Plain]) -> list[Witness]:
    """How far each witness has come.

    Args:
        state: the log as folded here, up to its newest entry that is known.
        told: `[{name, size, line}]`, as the hub tells.
    """
    lines = {str(row.get("name")): row for row in told}
    return [_reached(state, site, lines.get(f"{site}/witness")) for site in witnesses_of(state)]


def _reached(state: State, site: str, row: Plain | None) -> Witness:
    if row is None:
        return Witness(site, "never", behind=state.size)
    size = int(row["size"])
    key = state.keys.at(f"{site}/witness", size)
    if size > state.size:
        return Witness(site, "beyond", size)
    if key is None or size < 1:
        return Witness(site, "false")
    text = Checkpoint(state.origin, size, state.root(size)).text()
    try:
        time = check_cosignature(text, str(row["line"]), key)
    except ConsiliumError:
        return Witness(site, "false", size)
    behind = state.size - size
    return Witness(site, "behind" if behind else "even", size, time, behind)


def other_copies(state: State, log: str, sites: Sequence[Plain]) -> dict[str, int]:
    """Hospitals whose own copy of this log is said to have another root, with its size.

    Only sizes that are known here are compared. Two roots of one size are two histories: the hub
    shows one of them to the hospital and the other one here.
    """
    found = {}
    for row in sites:
        health = row.get("health", {})
        size, root = health.get("logs", {}).get(log), health.get("roots", {}).get(log)
        if not isinstance(size, int) or not 0 < size <= state.size or not isinstance(root, str):
            continue
        if root != b64encode(state.root(size)).decode():
            found[str(row["name"])] = size
    return found


@dataclass(frozen=True)
class Told:
    """An alarm of a hospital, as the hub passes it on.

    Args:
        site: the hospital.
        log: `consortium` or a study's id.
        sentence: the broken rule, in words.
        at: when the hospital found it; empty where that has no moment.
        heard: when the hub first heard of it.
    """

    site: str
    log: str
    sentence: str
    at: str
    heard: str


def alarms(sites: Sequence[Plain], log: str = "") -> list[Told]:
    """Every alarm that hospitals told of, or of those about one log."""
    return [
        Told(
            str(row["name"]),
            str(alarm["log"]),
            words.RULES.get(str(alarm["rule"]), f"Rule {alarm['rule']}."),
            str(alarm["at"] or ""),
            str(alarm["heard"]),
        )
        for row in sites
        for alarm in row.get("health", {}).get("alarmed", [])
        if not log or alarm["log"] == log
    ]
