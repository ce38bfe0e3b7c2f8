"""Who held which key from which entry to which: old signatures stay valid, and one can see why.

Source: design/ledger.md §3, design/compliance.md §1.2 (`governance/keys.csv`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from compliance.records.charter import CharterBody
from compliance.records.decisions import CharterAmended
from compliance.records.keys import KeyRotated
from compliance.report.log import Files, Log
from compliance.report.people import names
from compliance.report.write import write_csv
from compliance.rules.keyring import Holder, holders_of
from compliance.signing.keys import VerifierKey

HEAD = ["printed_name", "key", "role", "site", "verifier_key", "since_entry", "until_entry",
        "ended_by"]  # fmt: skip
ROLES = {"I": "institution", "N": "node", "W": "witness", "H": "hub", "R": "researcher", "L": "log"}


@dataclass
class Held:
    """One key in the hand of one holder."""

    key: VerifierKey
    holder: Holder
    since: int
    until: int | None = None
    ended_by: str = ""


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """`governance/keys.csv`."""
    known = names(attached)
    rows = [_row(held, known) for held in holdings(log)]
    return {"data/governance/keys.csv": write_csv(HEAD, rows)}


def holdings(log: Log) -> list[Held]:
    """Every key that a charter, an amendment or a rotation put in force, in that order."""
    told: list[Held] = []
    current: dict[str, Held] = {}
    for index, event in log.of_kind("charter", "charter.amended", "key.rotated"):
        body = event.body
        if isinstance(body, KeyRotated):
            before = current[body.name]
            after = Held(VerifierKey.parse(body.vkey), before.holder, index)
            _end(before, index, str(body.reason))
            told.append(after)
            current[body.name] = after
        elif isinstance(body, CharterBody | CharterAmended):
            charter = body if isinstance(body, CharterBody) else body.charter
            current = _adopt(charter, current, index, told)
    return told


def _adopt(
    charter: CharterBody, before: dict[str, Held], index: int, told: list[Held]
) -> dict[str, Held]:
    after: dict[str, Held] = {}
    for key, holder in holders_of(charter):
        held = before.get(key.name)
        if held is None or held.key != key:
            held = Held(key, holder, index)
            told.append(held)
        after[key.name] = held
    for name, held in before.items():
        if after.get(name) is not held:
            _end(held, index, "amendment")
    return after


def _end(held: Held, index: int, reason: str) -> None:
    held.until, held.ended_by = index, reason


def _row(held: Held, known: dict[str, str]) -> list[Any]:
    name, until = held.key.name, "" if held.until is None else held.until
    role, site = ROLES[held.holder.role], held.holder.site or ""
    return [known.get(name, ""), name, role, site, str(held.key), held.since, until, held.ended_by]
