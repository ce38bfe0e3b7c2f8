"""Who signed what, who decided what, who held which key, who reviewed: four tables from the log.

Source: design/compliance.md §10.3 (21 CFR 11.50: name, time, meaning), §1.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from compliance.records.charter import CharterBody
from compliance.records.decisions import CharterAmended, DecisionDenied, ReviewNoted
from compliance.records.envelope import Event
from compliance.report.log import Files, Log
from compliance.report.people import names, person
from compliance.report.write import write_csv
from compliance.rules.words import SENTENCES

SIGNATURES = ["printed_name", "key", "role", "meaning", "time_claimed", "witnessed_at_the_latest",
              "entry", "signed"]  # fmt: skip
DECISIONS = ["entry", "time_claimed", "decision", "by", "on_behalf", "printed_name", "signed",
             "subject", "reason", "rule", "sentence", "not_logged_before"]  # fmt: skip
REVIEWS = ["entry", "time_claimed", "by", "on_behalf", "printed_name", "signed", "from", "to",
           "result"]  # fmt: skip
ROLES = {"institution": "institution", "node": "node", "events": "hub", "witness": "witness"}
MEANINGS = {
    "charter.amended": "approved the amendment",
    "release.approved": "approved release",
    "release.refused": "refused release",
    "study.stopped": "stopped",
    "study.resumed": "agreed to resume",
    "study.closed": "closed",
    "site.withdrawn": "withdrew",
    "dataset.withdrawn": "withdrew the dataset",
    "model.released": "released",
    "model.recalled": "recalled",
    "review.noted": "reviewed",
}
"""What a signature under each kind means, besides charter and joining, which name datasets."""

DECIDED = frozenset({*MEANINGS, "site.joined", "site.limited", "dataset.reduced", "round.aborted",
                     "decision.denied", "key.rotated"} - {"review.noted"})  # fmt: skip
SUBJECTS = ("model_sha256", "dataset", "stopped", "action", "name", "round", "charter")


def files(log: Log, attached: Files) -> dict[str, bytes]:
    """`governance/{signatures,decisions,reviews}.csv`; keys stand in `keys.py`."""
    known = names(attached)
    return {
        "data/governance/signatures.csv": write_csv(SIGNATURES, signatures(log, known)),
        "data/governance/decisions.csv": write_csv(DECISIONS, _decisions(log, known)),
        "data/governance/reviews.csv": write_csv(REVIEWS, _reviews(log, known)),
    }


def role_of(key: str) -> str:
    """The role that a key's name tells: institution, node, hub, witness or researcher."""
    return ROLES.get(key.rpartition("/")[2], "researcher")


def signed(log: Log, index: int) -> str:
    """`self-signed` by the one who decided, or `hub-attested` for a user without a key."""
    return "hub-attested" if person(log.events[index].body) else "self-signed"


def meaning(log: Log, index: int, key: str) -> str:
    """What this signature means, in the words of the table."""
    event, role = log.events[index], role_of(key)
    body = event.body
    if isinstance(body, CharterBody):
        return _permit(body, key) if role == "institution" else "authored"
    if event.type == "site.joined":
        return _permit(_in_force(log, index), key)
    return MEANINGS.get(event.type, "")


def signatures(log: Log, known: dict[str, str]) -> Iterator[list[Any]]:
    """One row a signature that decides something, then one a cosignature."""
    for index, event in enumerate(log.events):
        for key in log.signers(index):
            words = meaning(log, index, key)
            if words:
                who = known.get(person(event.body) or key, "")
                how = signed(log, index)
                yield [who, key, role_of(key), words, event.time, log.witnessed, index, how]
    last = len(log.entries) - 1
    outside = {item.name: item.vkey for item in log.state.charter.quorum.external}
    for name, second in sorted(log.times.items()):
        key = outside[name].split("+", 1)[0] if name in outside else f"{name}/witness"
        time = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        yield [
            known.get(key, ""),
            key,
            "witness",
            "witnessed",
            time,
            time,
            f"0-{last}",
            "self-signed",
        ]


def _decisions(log: Log, known: dict[str, str]) -> Iterator[list[Any]]:
    for index, event in enumerate(log.events):
        if event.type not in DECIDED:
            continue
        body, by = event.body, " ".join(log.signers(index))
        rule = body.rule if isinstance(body, DecisionDenied) else ""
        yield [
            *_head(index, event), event.type, by, *_who(log, index, event, known),
            _subject(log, index, event), _reason(body), rule, SENTENCES.get(rule, ""),
            body.suppressed if isinstance(body, DecisionDenied) else "",
        ]  # fmt: skip


def _reviews(log: Log, known: dict[str, str]) -> Iterator[list[Any]]:
    for index, event in log.of_kind("review.noted"):
        body = event.body
        if isinstance(body, ReviewNoted):
            yield [
                *_head(index, event), event.actor or "", *_who(log, index, event, known),
                body.from_, body.to, body.result,
            ]  # fmt: skip


def _head(index: int, event: Event) -> list[Any]:
    return [index, event.time]


def _who(log: Log, index: int, event: Event, known: dict[str, str]) -> list[str]:
    behind = person(event.body)
    return [behind, known.get(behind or event.actor or "", ""), signed(log, index)]


def _subject(log: Log, index: int, event: Event) -> str:
    if isinstance(event.body, CharterAmended):
        return event.body.charter.digest()
    body = log.plain(index)["body"]
    return next((str(body[name]) for name in SUBJECTS if body.get(name) is not None), "")


def _reason(body: Any) -> str:
    return str(getattr(body, "reason", "") or "")


def _in_force(log: Log, index: int) -> CharterBody:
    return [body for since, body in log.charters() if since < index][-1]


def _permit(body: CharterBody, key: str) -> str:
    site = key.rpartition("/")[0]
    datasets = ", ".join(row.id for row in body.datasets_of(site)) or "no dataset"
    return f"approved the protocol and permits use of {datasets} until {body.expires}"
