"""What the hospitals agree on beside the training: quorum, release, shares, dates, documents.

Answers of the form into parts of a draft and back. What was not asked yet is what the hub would
take; each such default is told on the page before anybody signs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from compliance.records.measures import folded, unfolded
from compliance.rules.quorum import default_k, words
from dashboard.paths import Plain, day_text, decimal, hash_text, rows, table

Answers = dict[str, Any]
DATES = ("starts", "expires", "retention_until")
DOCUMENTS = ("protocol", "statistics", "risk", "pccp", "intended_use", "other")
FOLLOWING = ("quorum_k", "release_k", "signatures_required", "min_sites")
"""Answers that follow the number of hospitals until somebody changes them."""

SEEDS = 5
MEASURED = frozenset({"shapley_exact", "shapley_proxy", "shapley_sampled"})
"""Rules of shares that need measured coalitions, and so repetitions and a least share."""


def agreed_of(answers: Answers, sites: Sequence[str]) -> Plain:
    """The parts of a draft that this form asks."""
    parts: Plain = {
        "quorum": quorum_of(answers, sites),
        "release": _release(answers, len(sites)),
        "contribution": _contribution(answers),
        "documents": _documents(answers),
    }
    for name in DATES:
        text = day_text(answers.get(name), answers.get(f"{name}|kept"))
        parts |= {name: text} if text else {}
    return parts | _evaluation(answers)


def witnesses_of(answers: Answers, sites: Sequence[str]) -> list[str]:
    """The hospitals that cosign: all of the study but those that were left out."""
    out = answers.get("no_witness") or []
    return [site for site in sites if site not in out]


def outside_of(answers: Answers) -> list[Plain]:
    """Witnesses from outside, one a line: a name and a verifier key."""
    lines = str(answers.get("external") or "").splitlines()
    pairs = [line.split(None, 1) for line in lines if line.strip()]
    return [{"name": pair[0], "vkey": (pair[1:] or [""])[0].strip()} for pair in pairs]


def quorum_of(answers: Answers, sites: Sequence[str]) -> Plain:
    """Who cosigns, and how many must."""
    witnesses, outside = witnesses_of(answers, sites), outside_of(answers)
    return {
        "k": int(answers.get("quorum_k") or default_k(len(witnesses) + len(outside))),
        "witnesses": witnesses,
        "external": outside,
    }


def quorum_words(quorum: Mapping[str, Any]) -> str:
    """What the quorum bears, in one sentence."""
    count, k = len(quorum["witnesses"]) + len(quorum["external"]), int(quorum["k"])
    return words(count, k) if 1 <= k <= count else f"{k} of {count}: nobody can meet that."


def _release(answers: Answers, count: int) -> Plain:
    outputs, veto = answers.get("outputs"), answers.get("veto")
    return {
        "outputs": ["weights"] if outputs is None else list(outputs),
        "k": int(answers.get("release_k") or count // 2 + 1),
        "veto": True if veto is None else bool(veto),
    }


def _contribution(answers: Answers) -> Plain:
    rule, params = str(answers.get("contribution") or "cases"), dict(answers.get("shares") or {})
    if rule in MEASURED:
        params["seeds"] = str(int(answers.get("seeds") or SEEDS))
    if rule in MEASURED and answers.get("share_floor"):
        params["floor"] = decimal(float(answers["share_floor"]))
    return {"rule": rule, "params": params}


def _documents(answers: Answers) -> list[Plain]:
    listed = [
        {
            "kind": kind,
            "ref": answers.get(f"document|{kind}|ref") or "",
            "sha256": hash_text(answers.get(f"document|{kind}|sha256")),
        }
        for kind in answers.get("documents") or []
    ]
    return listed + list(answers.get("documents|more") or [])


def _evaluation(answers: Answers) -> Plain:
    """Only where it was asked; else the hub takes what the recipe measures."""
    if not answers.get("metrics"):
        return {}
    subgroups = list(answers.get("subgroups") or [])
    chosen = unfolded(list(answers["metrics"]), subgroups)
    primary = answers.get("primary") or chosen[0]
    return {"evaluation": {"primary": primary, "metrics": chosen, "subgroups": subgroups}}


def answers_of(plain: Plain) -> Answers:
    """The answers that make these parts of a draft."""
    sites = {str(row.get("site")) for row in rows(plain, "datasets")}
    answers: Answers = {
        **_quorum_answers(table(plain, "quorum"), sites),
        **_share_answers(table(plain, "contribution")),
        **_paper_answers(rows(plain, "documents")),
    }
    release, told = table(plain, "release"), table(plain, "evaluation")
    answers |= {name: release[name] for name in ("outputs", "veto") if name in release}
    answers |= {name: told[name] for name in ("primary", "subgroups") if name in told}
    answers |= {"metrics": folded(told["metrics"])} if "metrics" in told else {}
    answers |= {"release_k": release["k"]} if release.get("k") else {}
    for name in DATES:
        if plain.get(name):
            answers[name] = datetime.fromisoformat(str(plain[name])).date()
            answers[f"{name}|kept"] = str(plain[name])
    counts = {name: len(sites) for name in FOLLOWING}
    counts["quorum_k"] = len(witnesses_of(answers, sorted(sites))) + len(outside_of(answers))
    return answers | {f"{name}|of": count for name, count in counts.items()}


def _quorum_answers(quorum: Plain, sites: set[str]) -> Answers:
    if not quorum:
        return {}
    named = quorum.get("witnesses")
    outside = rows(quorum, "external")
    return {
        "quorum_k": quorum.get("k"),
        "no_witness": [] if named is None else sorted(sites - set(named)),
        "external": "\n".join(f"{row.get('name')} {row.get('vkey')}" for row in outside),
    }


def _share_answers(contribution: Plain) -> Answers:
    params = table(contribution, "params")
    answers: Answers = {"contribution": contribution["rule"]} if "rule" in contribution else {}
    seeds, floor = params.pop("seeds", None), params.pop("floor", None)
    answers |= {"seeds": int(float(seeds))} if seeds is not None else {}
    answers |= {"share_floor": float(floor)} if floor is not None else {}
    return answers | ({"shares": params} if params else {})


def _paper_answers(papers: list[Plain]) -> Answers:
    """One document of each kind is asked; a second one of a kind goes along unchanged."""
    answers: Answers = {"documents": [], "documents|more": []}
    for row in papers:
        kind = row.get("kind")
        if kind not in DOCUMENTS or kind in answers["documents"]:
            answers["documents|more"].append(row)
            continue
        answers["documents"].append(kind)
        answers[f"document|{kind}|ref"] = row.get("ref")
        answers[f"document|{kind}|sha256"] = row.get("sha256")
    return answers
