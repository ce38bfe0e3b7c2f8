"""Privacy in numbers and words: the ledger of epsilon, and inputs for a controller's own records.

What only the controller knows is marked, never guessed; risks are headings without content.

Source: design/compliance.md §6.3 (GDPR Art. 30(1), 35(7)), §1.2 (`privacy/dp_ledger.csv`).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from compliance.records.charter import CharterBody
from compliance.records.rounds import UpdateSubmitted
from compliance.records.sites import SiteLimited
from compliance.report.log import Files, Log
from compliance.report.write import write_csv, write_json
from compliance.rules.words import FOLD

HEAD = ["entry", "site", "dataset", "round", "epsilon", "epsilon_sum", "epsilon_cap", "delta",
        "delta_cap", "sigma", "clip", "sample_rate", "steps", "accountant", "unit"]  # fmt: skip
CONTROLLER = "to be completed by the controller"
STATEMENT = "Evidence drawn from a signed log. Not a legal determination."
RISKS = ("illegitimate access", "unwanted modification", "disappearance of data",
         "inference from a model or from what was reported")  # fmt: skip
MEASURES = ("update.min_examples", "metric.floor", "dp.budget", "dp.delta", "dataset.version",
            "dataset.withdrawn", "site.withdrawn", "study.stopped", "legal.expired",
            "charter.expired", "round.min_sites", "release.approvals", "round.bundle")  # fmt: skip
Pair = tuple[str, str]


def files(log: Log, _: Files) -> dict[str, bytes]:
    """`privacy/dp_ledger.csv`, `privacy/ropa_art30.json`, `privacy/dpia_inputs.json`."""
    return {
        "data/privacy/dp_ledger.csv": write_csv(HEAD, ledger(log)),
        "data/privacy/ropa_art30.json": write_json(_about(log) | ropa(log)),
        "data/privacy/dpia_inputs.json": write_json(_about(log) | dpia(log)),
    }


def ledger(log: Log) -> Iterator[list[Any]]:
    """One row a stated cost, with the sum so far and the cap of that moment."""
    caps: dict[Pair, Decimal] = {}
    spent: dict[Pair, Decimal] = {}
    versions = dict(log.charters())
    terms = versions[0].dp
    for index, event in enumerate(log.events):
        body, site = event.body, (event.actor or "").rpartition("/")[0]
        if index in versions:
            terms = versions[index].dp
            caps = _caps(versions[index], caps, log.signers(index))
        elif isinstance(body, SiteLimited):
            caps[site, body.dataset] = Decimal(body.epsilon)
        elif isinstance(body, UpdateSubmitted) and body.dp and terms:
            pair, cost = (site, body.dataset), body.dp
            spent[pair] = spent.get(pair, Decimal(0)) + Decimal(cost.epsilon)
            cap = f"{caps[pair]:f}" if pair in caps else ""
            stated = [cost.epsilon, f"{spent[pair]:f}", cap, cost.delta, terms.delta]
            how = [cost.sigma, cost.clip, cost.sample_rate, cost.steps]
            yield [index, *pair, body.round, *stated, *how, terms.accountant, terms.unit]


def _caps(
    body: CharterBody, before: dict[Pair, Decimal], signers: list[str]
) -> dict[Pair, Decimal]:
    """Caps of a charter; a hospital that did not sign it keeps the lower one."""
    found = {}
    for row in body.datasets:
        pair = row.site, row.id
        if row.epsilon is not None:
            cap, held = Decimal(row.epsilon), before.get(pair)
            own = f"{row.site}/institution" in signers
            found[pair] = cap if held is None or own else min(cap, held)
    return found


def ropa(log: Log) -> dict[str, Any]:
    """One key for each letter of Art. 30(1), filled from the signed charter."""
    charter = log.state.charter
    legal = charter.legal
    return {
        "a_controllers": [
            {"site": row.site, "controller": row.controller, "contact": CONTROLLER}
            for row in legal.sites
        ],
        "a_joint_controllers": legal.joint_controllers,
        "a_processor": legal.processor,
        "b_purposes": [str(item) for item in legal.purposes],
        "c_persons": "patients whose images are in the curated datasets",
        "c_data": [_data(charter, row.site, row.id) for row in charter.datasets],
        "c_legal_basis": [
            {
                "site": row.site,
                "lawful_basis": row.lawful_basis,
                "special_category_basis": row.special_category_basis,
            }
            for row in legal.sites
        ],
        "d_recipients": sorted([log.hub, *charter.site_names()]),
        "e_transfers": [item.plain() for item in legal.transfers],
        "f_erasure": charter.retention_until,
        "g_security_measures": measures(log),
    }


def dpia(log: Log) -> dict[str, Any]:
    """The four items of Art. 35(7); the risks are the controller's to assess."""
    charter = log.state.charter
    refused: dict[str, int] = {}
    for denial in log.state.denials:
        refused[denial.body.rule] = refused.get(denial.body.rule, 0) + 1 + denial.body.suppressed
    return {
        "a_description": {
            "title": charter.title,
            "summary": charter.summary,
            "task": charter.task.plain(),
            "recipe": charter.recipe.plain(),
            "datasets": [_data(charter, row.site, row.id) for row in charter.datasets],
            "purposes": [str(item) for item in charter.legal.purposes],
        },
        "b_necessity": {
            "purpose": charter.purpose.plain(),
            "minimisation": [
                "images and records stay at the hospital; updates, numbers and hashes leave",
                f"no update from fewer than {charter.min_examples} examples",
                f"no count below {charter.min_cell} is shown",
                _dp_words(charter),
            ],
        },
        "c_risks": [{"risk": risk, "assessment": CONTROLLER} for risk in RISKS],
        "d_measures": {"rules": measures(log), "refusals_so_far": refused},
    }


def measures(log: Log) -> list[dict[str, Any]]:
    """Rules that were enforced on every entry, with the agreed parameters."""
    charter = log.state.charter
    agreed: dict[str, Any] = {
        "update.min_examples": charter.min_examples,
        "metric.floor": charter.min_cell,
        "round.min_sites": charter.min_sites,
        "release.approvals": charter.release.k,
        "charter.expired": charter.expires,
        "round.bundle": charter.bundle_sha256,
        "dp.budget": charter.dp.epsilon if charter.dp else None,
        "dp.delta": charter.dp.delta if charter.dp else None,
    }
    return [{"rule": rule, "says": FOLD[rule], "agreed": agreed.get(rule)} for rule in MEASURES]


def _data(charter: CharterBody, site: str, name: str) -> dict[str, Any]:
    row = charter.dataset(site, name)
    terms = row.plain() if row else {}
    return {
        "site": site,
        "dataset": name,
        "data_use_terms": terms.get("duo"),
        "disease": terms.get("disease"),
        "description_sha256": terms.get("description_sha256"),
    }


def _dp_words(charter: CharterBody) -> str:
    if charter.dp is None:
        return "no differential privacy was agreed"
    terms = charter.dp
    return (
        f"differential privacy per {terms.unit}: epsilon at most {terms.epsilon}, delta at most "
        f"{terms.delta}, over the whole study and for each dataset"
    )


def _about(log: Log) -> dict[str, Any]:
    return {
        "origin": log.checkpoint.origin,
        "size": log.checkpoint.size,
        "root": base64.b64encode(log.checkpoint.root).decode(),
        "as_of": log.as_of,
        "charter_id": log.state.charter_id,
        "statement": STATEMENT,
    }
