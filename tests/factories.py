"""Valid records and signed notes to override: keys from seeds, a charter, a body for each kind."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from compliance.records.envelope import write_event
from compliance.records.types import seconds_of, time_text
from compliance.signing.keys import COSIGNATURE, NOTE, SigningKey
from compliance.signing.note import seal

HUB = "hub.example"
EVENTS = f"{HUB}/events"
ORIGIN = f"{HUB}/study/00112233445566aa"
RESEARCHER = "lead.example/r-7"
NAMES = ("east.example", "north.example", "south.example", "west.example")
BEGINS = "2026-11-22T09:00:00Z"
DATASET = "cxr"


def sha(text: str) -> str:
    """A hash that stands for something, always the same for the same word."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def key(name: str, kind: int = NOTE, generation: int = 0) -> SigningKey:
    """A test key drawn from its own name; another generation is another key."""
    seed = hashlib.sha256(f"test key {generation} of {name}".encode()).digest()
    return SigningKey(name, kind, seed)


def vkey(name: str, kind: int = NOTE, generation: int = 0) -> str:
    """The public half of a test key."""
    return str(key(name, kind, generation).verifier)


def later(time: str, **difference: float) -> str:
    """A time so much after another one."""
    moment: datetime = seconds_of(time) + timedelta(**difference)
    return time_text(moment)


def site_keys(name: str) -> dict[str, str]:
    """A hospital of a charter."""
    return {
        "name": name,
        "institution": vkey(f"{name}/institution"),
        "node": vkey(f"{name}/node"),
        "witness": vkey(f"{name}/witness", COSIGNATURE),
    }


def legal_row(name: str, **changes: Any) -> dict[str, Any]:
    """A complete row of the legal block."""
    paper = {"ref": "REC 1/2026", "sha256": sha("paper"), "expires": "2028-01-01T00:00:00Z"}
    row = {
        "site": name,
        "controller": name.split(".")[0].title() + " Hospital",
        "lawful_basis": "art6_1_e",
        "special_category_basis": "art9_2_j",
        "ethics": {"status": "approved", **paper},
        "dua": dict(paper),
        "dpia": {"required": True, "ref": "DPIA 1", "sha256": sha("dpia")},
        "permit": None,
        "objections_checked": None,
        "us_basis": None,
    }
    return row | changes


def dataset_row(name: str, **changes: Any) -> dict[str, Any]:
    """A dataset of a charter."""
    row = {
        "site": name,
        "id": DATASET,
        "version": sha(f"{name} version 1"),
        "duo": ["HMB"],
        "disease": [],
        "description_sha256": sha("description"),
        "dac": None,
        "epsilon": "3.0",
    }
    return row | changes


def charter(sites: Iterable[str] = NAMES[:3], /, **changes: Any) -> dict[str, Any]:
    """A charter of these hospitals, every field valid; `changes` replace whole fields."""
    names = sorted(sites)
    body: dict[str, Any] = {
        "title": "Pneumonia on chest radiographs",
        "summary": "Made up for tests.",
        "consortium": sha("agreement"),
        "origin": ORIGIN,
        "log_key": vkey(ORIGIN),
        "hub_key": vkey(EVENTS),
        "researcher": vkey(RESEARCHER),
        "sites": [site_keys(name) for name in names],
        "signatures_required": 2,
        "datasets": [dataset_row(name) for name in names],
        "quorum": {"k": 2, "witnesses": names, "external": []},
        "legal": {
            "joint_controllers": True,
            "processor": "Hub University",
            "processing_agreement": {"ref": "DPA 1", "sha256": sha("dpa")},
            "purposes": ["scientific_research"],
            "transfers": [],
            "sites": [legal_row(name) for name in names],
        },
        "starts": "2026-11-22T08:00:00Z",
        "expires": "2027-11-22T09:00:00Z",
        "retention_until": "2033-11-20T09:00:00Z",
    }
    return body | _science() | changes


def _science() -> dict[str, Any]:
    return {
        "purpose": {
            "use": "DS",
            "disease": ["MONDO:0005249", "MONDO:0005275"],
            "for_profit": False,
            "commercial": False,
            "flags": [],
        },
        "task": {
            "kind": "binary-classification",
            "labels": ["normal", "pneumonia"],
            "label_map_sha256": sha("labels"),
            "preprocessing_sha256": sha("preprocessing"),
        },
        "recipe": {"id": "cxr", "version": 1, "sha256": sha("recipe"), "family": "cnn2d_small"},
        "bundle_sha256": sha("bundle"),
        "initial_model_sha256": sha("model 0"),
        "min_sites": 2,
        "min_examples": 20,
        "min_cell": 5,
        "max_rounds": 5,
        "round_seconds": 3600,
        "aggregator": {"name": "fedavg", "params": {}, "masked": False},
        "dp": {"unit": "patient", "epsilon": "3.0", "delta": "0.00001", "accountant": "prv"},
        "evaluation": {
            "primary": "auroc",
            "metrics": ["auroc", "sensitivity"],
            "subgroups": ["sex"],
        },
        "release": {"outputs": ["weights"], "k": 2, "veto": True},
        "contribution": {"rule": "equal", "params": {}},
        "documents": [],
    }


def entry0(body: dict[str, Any], *signers: str, time: str = BEGINS) -> bytes:
    """A charter note; without names, all its institutions and the researcher sign."""
    everyone = [f"{site['name']}/institution" for site in body["sites"]] + [RESEARCHER]
    text = write_event("charter", body, time=time)
    return seal(text, *(key(name) for name in signers or everyone))


def cost(**changes: Any) -> dict[str, Any]:
    """A statement of privacy cost."""
    stated = {
        "epsilon": "0.5",
        "delta": "0.00001",
        "sigma": "1.2",
        "clip": "1.0",
        "sample_rate": "0.05",
        "steps": 40,
    }
    return stated | changes


def value(**changes: Any) -> dict[str, Any]:
    """A measured value."""
    return {"value": "0.87", "low": "0.82", "high": "0.91", "n": 200, "positives": 60} | changes


def update(site: str, **changes: Any) -> dict[str, Any]:
    """The body of an update of round 1."""
    body = {
        "round": 1,
        "base_model_sha256": sha("model 0"),
        "dataset": DATASET,
        "dataset_version": sha(f"{site} version 1"),
        "update_sha256": sha(f"update of {site}"),
        "bytes": 4000,
        "encoding": "packed-f32",
        "masked": False,
        "n": 120,
        "dp": cost(),
    }
    return body | changes


def metric(site: str, **changes: Any) -> dict[str, Any]:
    """The body of a measurement in round 1."""
    body = {
        "round": 1,
        "phase": "before_training",
        "model_sha256": sha("model 0"),
        "dataset": DATASET,
        "dataset_version": sha(f"{site} version 1"),
        "split": "validation",
        "values": {"auroc": value()},
    }
    return body | changes


def coalitions(**changes: Any) -> dict[str, Any]:
    """The body of measured coalitions."""
    body = {
        "sweep": "sweep-0011223344556677",
        "seed": 0,
        "models_sha256": sha("stack"),
        "course_sha256": sha("course"),
        "dataset": DATASET,
        "dataset_version": sha("version"),
        "split": "test",
        "values": {"0": {"n": 50, "correct": 20, "value": None}},
    }
    return body | changes


def recipe_document(**changes: Any) -> dict[str, Any]:
    """A valid recipe document; its layout hash stands for nothing."""
    document = {
        "v": 1,
        "id": "cnn2d-small",
        "version": 1,
        "family": "cnn2d_small",
        "task": "binary",
        "classes": ["normal", "pneumonia"],
        "network": {"name": "cnn2d_small", "params": {}},
        "layout_sha256": sha("layout"),
        "preprocessing": {
            "size": [28, 28],
            "channels": 1,
            "intensity": "relative",
            "mean": "0.5",
            "std": "0.25",
        },
        "augment": {"flip": False, "rotate": "0", "shift": "0", "noise": "0"},
        "loss": "bce",
        "optimiser": {"name": "adam", "lr": "0.001", "weight_decay": "0", "momentum": "0"},
        "local": {"epochs": 1, "steps": None, "batch": 16, "mu": "0", "scaffold": False},
        "class_weights": "none",
        "dp": None,
        "evaluate_every": 1,
        "threads": 1,
        "seed": 7,
        "baseline": True,
    }
    return document | changes


CONSORTIUM = f"{HUB}/consortium"
COUNTRIES = {"east.example": "DE", "north.example": "SE", "south.example": "IT"}


def member(name: str, generation: int = 0) -> dict[str, str]:
    """A hospital of an agreement; the body of its admission has `site` for `name`."""
    return {
        "name": name,
        "institution": vkey(f"{name}/institution", generation=generation),
        "node": vkey(f"{name}/node", generation=generation),
        "witness": vkey(f"{name}/witness", COSIGNATURE, generation),
        "country": COUNTRIES.get(name, "FR"),
    }


def admission(name: str, generation: int = 0, **changes: str) -> dict[str, str]:
    """The body of `member.admitted`."""
    row = member(name, generation)
    return {"site": row.pop("name"), **row} | changes


def agreement(sites: Iterable[str] = NAMES[:3], /, **changes: Any) -> dict[str, Any]:
    """An agreement of these hospitals, every field valid; `changes` replace whole fields."""
    names = sorted(sites)
    most = len(names) // 2 + 1
    body: dict[str, Any] = {
        "title": "Radiology of four towns",
        "hub": vkey(EVENTS),
        "origin": CONSORTIUM,
        "log_key": vkey(CONSORTIUM),
        "members": [member(name) for name in names],
        "signatures_required": 2,
        "admit_k": most,
        "amend_k": most,
        "quorum": {"k": most, "witnesses": names},
        "floors": {"min_examples": 10, "min_cell": 5, "min_sites": 2},
        "profiles": ["eu-research"],
        "documents": [
            {"kind": "joint_controllers", "ref": "JCA 1", "sha256": sha("arrangement")},
        ],
        "retention_until": "2036-11-22T09:00:00Z",
    }
    return body | changes


def agreement0(body: dict[str, Any], *signers: str, time: str = BEGINS) -> bytes:
    """An agreement note; without names, all its institutions sign."""
    everyone = [f"{row['name']}/institution" for row in body["members"]]
    text = write_event("agreement", body, time=time)
    return seal(text, *(key(name) for name in signers or everyone))


def registration(**changes: Any) -> dict[str, Any]:
    """The body of `dataset.registered`."""
    report = sha("report")
    body = {
        "dataset": DATASET,
        "version": sha("version"),
        "modality": ["dx"],
        "body_part": ["chest"],
        "duo": ["HMB", "IRB"],
        "disease": ["MONDO:0005249"],
        "examples": "≥100",
        "patients": "≥floor",
        "description_sha256": sha("description"),
        "deid": {"profile": "basic", "version": 1, "rules_sha256": report, "report_sha256": report},
        "quality_sha256": report,
    }
    return body | changes


WHO = {"dir": "a" * 26, "amr": ["password"]}


def consortium_bodies() -> dict[str, dict[str, Any]]:
    """A valid body for each kind that only the consortium log has, or has in another form."""
    charter_id, entry = sha("charter"), sha("entry 0 of the study")
    listed = {"charter": charter_id, "origin": ORIGIN, "entry0": entry, "on_behalf": None}
    return {
        "agreement": agreement(),
        "agreement.amended": {"agreement": agreement(), "previous": sha("before")},
        "member.admitted": admission(NAMES[3]),
        "member.suspended": {"site": NAMES[2], "reason": "security"},
        "member.left": {"site": NAMES[2], "reason": "own_wish"},
        "researcher.admitted": {"name": RESEARCHER, "vkey": vkey(RESEARCHER), "on_behalf": None},
        "researcher.left": {"name": RESEARCHER, "on_behalf": None},
        "recipe.registered": {
            "recipe": "cxr",
            "version": 1,
            "recipe_sha256": sha("recipe"),
            "bundle_sha256": sha("bundle"),
            "family": "cnn2d_small",
            "task": "binary-classification",
            "on_behalf": WHO,
        },
        "recipe.retired": {
            "recipe": "cxr", "version": 1, "reason": "superseded", "on_behalf": None,
        },
        "dataset.registered": registration(),
        "dataset.withdrawn": {"dataset": DATASET, "version": None, "reason": "policy"},
        "offer.made": {
            "offer": "chest-images",
            "kind": "dataset",
            "subject_sha256": sha("subject"),
            "terms_sha256": sha("terms"),
            "until": "2027-01-01T00:00:00Z",
            "on_behalf": None,
        },
        "offer.withdrawn": {"offer": "chest-images", "on_behalf": None},
        "request.made": {"offer": "chest-images", "purpose_sha256": sha("purpose")},
        "request.answered": {
            "request": 5, "answer": "granted", "reason": None, "on_behalf": None,
        },
        "study.proposed": {"charter": charter_id, "on_behalf": None},
        "study.refused": {"charter": charter_id, "reason": "data"},
        "study.opened": listed,
        "study.closed": listed,
    }  # fmt: skip
