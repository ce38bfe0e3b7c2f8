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
