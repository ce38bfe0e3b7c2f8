"""Words of the report: terms, bases, reasons and entries as a reader outside would say them.

A time is written without a locale, so that the same log gives the same bytes everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from compliance.rules.words import SENTENCES

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

DUO: dict[str, str] = {
    "NRES": "no restriction",
    "GRU": "general research use",
    "HMB": "health, medical or biomedical research",
    "DS": "research on the named disease",
    "POA": "research on population origins or ancestry only",
    "NPOA": "no research on population origins or ancestry",
    "NMDS": "no general methods research",
    "NPU": "use by not-for-profit organisations only",
    "NCU": "non-commercial use only",
    "NPUNCU": "not-for-profit organisations and non-commercial use only",
    "CC": "clinical care use",
    "IRB": "ethics approval required",
    "GS": "use in named places only",
    "MOR": "no publication before a date",
    "GSO": "genetic studies only",
    "PUB": "results must be published",
    "COL": "collaboration required",
    "US": "named users only",
    "PS": "named project only",
    "IS": "named institutions only",
    "TS": "use until a date only",
    "RTN": "results return to the source",
    "RS": "named kinds of research only",
}
"""Data use terms after the labels of GA4GH DUO."""

USES: dict[str, str] = {
    "GRU": "general research",
    "HMB": "health, medical or biomedical research",
    "DS": "research on a disease",
    "POA": "research on population origins or ancestry",
    "MDS": "development of methods",
}

BASES: dict[str, str] = {
    "art6_1_a": "consent, GDPR Art. 6(1)(a)",
    "art6_1_c": "legal obligation, GDPR Art. 6(1)(c)",
    "art6_1_e": "public interest, GDPR Art. 6(1)(e)",
    "art6_1_f": "legitimate interest, GDPR Art. 6(1)(f)",
    "art9_2_a": "explicit consent, GDPR Art. 9(2)(a)",
    "art9_2_g": "substantial public interest, GDPR Art. 9(2)(g)",
    "art9_2_i": "public health, GDPR Art. 9(2)(i)",
    "art9_2_j": "research, GDPR Art. 9(2)(j)",
    "other_law": "another law",
}

MECHANISMS: dict[str, str] = {
    "adequacy": "adequacy decision",
    "scc": "standard contractual clauses",
    "bcr": "binding corporate rules",
    "derogation": "derogation",
    "other_law": "another law",
}

REASONS: dict[str, str] = {
    "not_finite": "a value that is no number",
    "wrong_shape": "another length than the network",
    "norm_bound": "larger than agreed",
    "outlier": "far from all the others",
    "late": "after the deadline",
    "bad_hash": "not what was signed",
    "bad_count": "another number of cases than was signed",
    "withdrawn": "had left",
    "no_answer": "no answer",
    "refused": "its own rules said no",
    "offline": "not connected",
    "failed": "its program failed",
    "too_few": "too few hospitals answered",
    "deadline": "the deadline passed",
    "stopped": "the study was stopped",
    "hub_restart": "the hub was restarted",
    "operator": "the operator's decision",
    "leak_test": "the leak test was not passed",
    "small_cells": "a count was too small to show",
    "data_withdrawn": "data were withdrawn",
    "lost": "the old one was lost",
    "stolen": "the old one was stolen",
    "takeover": "somebody else took over",
    "planned": "as planned",
    "objection": "somebody objected",
    "erasure": "records were erased",
    "quality": "the quality was not good enough",
}
"""Reasons whose word does not speak for itself; the others are shown as they stand."""

STATES: dict[str, str] = {
    "ready": "between two rounds",
    "in_round": "in a round",
    "stopped": "stopped",
    "closed": "closed for good",
}

SENTENCE: dict[str, str] = {
    "charter": "The charter: it begins the log and names everybody's keys.",
    "round.opened": "Round {round} opened for {sites}.",
    "update.submitted": "{site} sent its update of round {round}; it claims {n} cases.",
    "metric.reported": "{site} reported measured values of {dataset} ({phase}, {split}).",
    "mask.key": "{site} published its key for masks.",
    "round.unmasking": "Round {round} took no more masked updates; in the sum: {alive}.",
    "round.closed": "Round {round} gave a new model from {used}.",
    "round.aborted": "Round {round} ended without a model: {reason}.",
    "charter.amended": "A new version of the charter came into force.",
    "site.joined": "{site} signed the charter and joined.",
    "site.withdrawn": "{site} left the study: {reason}.",
    "site.limited": "{site} lowered its own privacy cap of {dataset} to ε {epsilon}.",
    "dataset.reduced": "{site} made {dataset} smaller: {reason}.",
    "dataset.withdrawn": "{site} withdrew {dataset}: {reason}.",
    "study.stopped": "{site} stopped the study: {reason}.",
    "study.resumed": "{signers} lifted the stop of entry {stopped}.",
    "study.closed": "The study was closed: {reason}.",
    "release.approved": "{site} approved that model {model} leaves as {form}.",
    "release.refused": "{site} refused that model {model} leaves: {reason}.",
    "model.released": "Model {model} was released as {form}.",
    "model.recalled": "Model {model} was called back: {reason}.",
    "coalition.measured": "{site} measured the coalitions of seed {seed} on {dataset} ({split}).",
    "contribution.measured": "Contributions of rounds {from_round} to {to_round} were measured.",
    "key.rotated": "Key {name} was replaced: {reason}.",
    "decision.denied": "{site} refused {action}: {rule_words}",
    "export.created": "An evidence bundle over {size} entries was exported, purpose: {purpose}.",
    "review.noted": "Entries {from} to {to} were reviewed: {result}.",
    "erasure.done": "An erasure was done: {what}.",
}
"""Each kind of entry as one sentence."""


def moment(time: str) -> str:
    """A time of a record as people read it: 22 Nov 2026, 09:31 UTC."""
    read = datetime.fromisoformat(time)
    return f"{read.day} {MONTHS[read.month - 1]} {read.year}, {read:%H:%M} UTC"


def day(time: str) -> str:
    """A day: 22 Nov 2026."""
    return moment(time).partition(",")[0]


def reason(word: object) -> str:
    """A reason in words; one that speaks for itself as it stands."""
    return REASONS.get(str(word), str(word).replace("_", " "))


def sentence(kind: str, body: Mapping[str, Any], actor: str, signers: list[str]) -> str:
    """An entry as one sentence."""
    known: dict[str, Any] = {
        **body,
        "site": speaker(actor),
        "signers": ", ".join(signers),
        "model": str(body.get("model_sha256", "")).removeprefix("sha256:")[:16],
        "reason": reason(body.get("reason", "")),
        "rule_words": SENTENCES.get(str(body.get("rule")), ""),
    }
    for name in ("phase", "result"):
        known[name] = str(body.get(name, "")).replace("_", " ")
    for name in ("sites", "used", "alive") if kind.startswith("round.") else ():
        known[name] = ", ".join(sorted(body.get(name, ()))) or "nobody"
    return SENTENCE[kind].format_map(known)


def speaker(actor: str) -> str:
    """Who speaks: a hospital by its name, the hub, or the researcher."""
    owner, _, role = actor.rpartition("/")
    if role in ("institution", "node", "witness"):
        return owner
    return "The hub" if role == "events" else "The researcher"
